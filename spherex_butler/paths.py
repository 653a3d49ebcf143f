"""Where this package's configuration is: as a folder, and as ``resource://`` URIs."""

from __future__ import annotations

__all__ = ("CONFIG_PATH_VARIABLE", "config_path", "config_uri")

import importlib.resources
import os
from pathlib import Path

from .errors import ConfigurationError

CONFIG_PATH_VARIABLE = "DAF_BUTLER_CONFIG_PATH"
"""The environment variable in which Butler finds folders of configuration."""

_PACKAGE = "spherex_butler"


def config_path() -> str:
    """Return the folder to put on ``DAF_BUTLER_CONFIG_PATH``.

    Returns
    -------
    path
        Absolute path of a real folder.

    Raises
    ------
    ConfigurationError
        Raised if the package is not installed as a folder, or its path holds
        the separator of that variable: Butler would silently ignore it.
    """
    folder = importlib.resources.files(_PACKAGE).joinpath("configs")
    if not (isinstance(folder, Path) and folder.is_dir()):
        raise ConfigurationError(
            f"The configuration of {_PACKAGE} is at {str(folder)!r}, which is not a real folder, so that "
            f"{CONFIG_PATH_VARIABLE} cannot name it. Install the package unzipped, or include "
            f"{config_uri('butler.yaml')!r} in the repository's butler.yaml."
        )
    path = str(folder.absolute())
    if os.pathsep in path:
        raise ConfigurationError(
            f"The configuration folder {path!r} has {os.pathsep!r} in its path, where {CONFIG_PATH_VARIABLE} "
            f"is split. Install the package elsewhere, or include {config_uri('butler.yaml')!r} in the "
            "repository's butler.yaml."
        )
    return path


def config_uri(name: str) -> str:
    """Return the URI of one of our configuration files, which Butler can read and include."""
    return f"resource://{_PACKAGE}/configs/{name}"

"""Whether a repository's configuration has the storage classes and formatters that SPHEREx's dataset types need."""

from __future__ import annotations

__all__ = ("holds_repository", "know_storage_classes", "lack_of_configuration", "require_configuration")

import re
from pathlib import Path

from lsst.daf.butler import Butler, StorageClassFactory

from ..configuration.dataset_types import definitions
from ..configuration.provider import PROVIDER
from ..errors import ConfigurationError
from ..paths import CONFIG_PATH_VARIABLE, config_uri
from .butler_internals import file_datastore, is_remote


def holds_repository(folder: Path) -> bool:
    """Whether a folder is the root of a repository, whose ``butler.yaml`` names a database; a package's does not."""
    try:
        text = (folder / "butler.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return re.search(r"^registry\s*:", text, re.MULTILINE) is not None


def know_storage_classes() -> None:
    """Make our storage classes known to this process, as opening one of our repositories does."""
    StorageClassFactory().addFromConfig(PROVIDER.storage_classes())


def require_configuration(butler: Butler) -> None:
    """Refuse a repository whose configuration lacks ours, before anything is registered or read by it.

    Storage classes are the process's, formatters the repository's. Through a Butler server nothing lacks: it names the
    formatter of each file.

    Raises
    ------
    ConfigurationError
        Raised if one is missing; the message names what to add to the repository or to the environment.
    """
    if lack := lack_of_configuration(butler):
        raise ConfigurationError(f"{lack} Nothing was changed.")


def lack_of_configuration(butler: Butler) -> str:
    """Return in words what the configuration lacks, and what to add where; nothing if it is whole."""
    if is_remote(butler):
        return ""
    classes = StorageClassFactory()
    formatters = {key.name for key in file_datastore(butler).formatterFactory.getLookupKeys()}
    missing = {
        entry.storageClass
        for name, entry in definitions().items()
        if entry.storageClass not in classes or not {name, entry.storageClass} & formatters
    }
    if not missing:
        return ""
    return (
        f"The repository's configuration lacks the storage classes or formatters of {', '.join(sorted(missing))}. "
        f"Expected this line in its butler.yaml: 'includeConfigs: [{config_uri('repository/butler.yaml')}]'; or "
        f"else, wherever it is opened, 'export {CONFIG_PATH_VARIABLE}=$(butler spherex config-path)'."
    )

"""SPHEREx on the Rubin Data Butler.

What needs Butler is loaded on first use, because Butler takes a second to
import: names, flags and images are there without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration.installation import install
    from .configuration.universe import dimension_config, extend_universe
    from .images.spectral_image import SpectralImage
    from .paths import config_path
    from .repository.creation import make_repo

__all__ = (
    "SpectralImage",
    "__version__",
    "config_path",
    "dimension_config",
    "extend_universe",
    "install",
    "make_repo",
)

__version__ = "0.1.0"

_MODULES = {
    "SpectralImage": "images.spectral_image",
    "config_path": "paths",
    "dimension_config": "configuration.universe",
    "extend_universe": "configuration.universe",
    "install": "configuration.installation",
    "make_repo": "repository.creation",
}
"""Which module each public name is loaded from."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

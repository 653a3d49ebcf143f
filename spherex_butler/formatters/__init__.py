"""Formatters: how each storage class is written to a file and read from it.

They are loaded on first use, so that a format whose optional dependency is
absent breaks nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import BaseFormatter
    from .ccddata import CCDDataFormatter
    from .fits import FITSFormatter
    from .hdf5 import HDF5ArrayFormatter, HDF5Formatter, HDF5TableFormatter
    from .hdulist import HDUListFormatter
    from .spectral_image import SpectralImageFormatter
    from .votable import VOTableFormatter

__all__ = (
    "BaseFormatter",
    "CCDDataFormatter",
    "FITSFormatter",
    "HDF5ArrayFormatter",
    "HDF5Formatter",
    "HDF5TableFormatter",
    "HDUListFormatter",
    "SpectralImageFormatter",
    "VOTableFormatter",
)

_MODULES = {
    "BaseFormatter": "base",
    "CCDDataFormatter": "ccddata",
    "FITSFormatter": "fits",
    "HDF5ArrayFormatter": "hdf5",
    "HDF5Formatter": "hdf5",
    "HDF5TableFormatter": "hdf5",
    "HDUListFormatter": "hdulist",
    "SpectralImageFormatter": "spectral_image",
    "VOTableFormatter": "votable",
}
"""Which module each class is loaded from."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

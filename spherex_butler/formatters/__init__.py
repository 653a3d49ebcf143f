"""Formatters: how each storage class is written to a file and read from it.

Imports `..formats`, `..images` and `..files`.  The classes are loaded on first
use, so that a format whose optional dependency is absent breaks nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

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

if not TYPE_CHECKING:  # for which any name would be one of these
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "BaseFormatter": "base",
            "CCDDataFormatter": "ccddata",
            "FITSFormatter": "fits",
            "HDF5ArrayFormatter": "hdf5",
            "HDF5Formatter": "hdf5",
            "HDF5TableFormatter": "hdf5",
            "HDUListFormatter": "hdulist",
            "SpectralImageFormatter": "spectral_image",
            "VOTableFormatter": "votable",
        },
    )

"""Formatters: how each storage class is written to and read from a file."""

from __future__ import annotations

from .ccddata import CCDDataFormatter
from .hdf5 import HDF5ArrayFormatter, HDF5Formatter, HDF5TableFormatter
from .hdulist import HDUListFormatter
from .spectral_image import SpectralImageFormatter
from .votable import VOTableFormatter

__all__ = (
    "CCDDataFormatter",
    "HDF5ArrayFormatter",
    "HDF5Formatter",
    "HDF5TableFormatter",
    "HDUListFormatter",
    "SpectralImageFormatter",
    "VOTableFormatter",
)

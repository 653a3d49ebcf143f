"""`CCDDataFormatter`: `~astropy.nddata.CCDData` in the FITS format of `spherex_butler.images.ccddata`."""

from __future__ import annotations

__all__ = ("CCDDataFormatter",)

from collections.abc import Mapping
from typing import Any, ClassVar

from astropy.io import fits
from astropy.nddata import CCDData

from ..formats.fits.file import FitsFile
from ..images.ccddata import stored_hdus
from ..images.ccddata_reading import StoredCCDData
from .base import Reader
from .fits import FITSFormatter


def _part(name: str) -> Reader:
    def read(file: FitsFile, parameters: Mapping[str, Any]) -> Any:
        return getattr(StoredCCDData(file, parameters), name)

    return read


class CCDDataFormatter(FITSFormatter):
    """Reads and writes `~astropy.nddata.CCDData`, or cutouts and parts of it.

    The read parameters are ``bbox``, or ``center`` and ``size``, in pixels of
    the array.
    """

    parameters = frozenset({"bbox", "center", "size"})
    readers: ClassVar[Mapping[str | None, Reader]] = {
        None: _part("ccddata"),
        **{name: _part(name) for name in ("image", "mask", "uncertainty", "flags", "wcs", "header", "unit", "shape")},
    }

    def to_hdulist(self, dataset: CCDData) -> fits.HDUList:
        """Return the HDUs of an image, compressed as the recipe says."""
        return stored_hdus(dataset, self.recipe)

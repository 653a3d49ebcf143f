"""Any FITS file as it is: `~astropy.io.fits.HDUList`.

Every HDU is written as given; only the primary header gains the cards that say
which dataset it is (see ``HIERARCH LSST BUTLER …``), and cards that break the
FITS standard are repaired where that loses nothing.  Checksums are renewed in
headers that have them.
"""

from __future__ import annotations

__all__ = ("HDUListFormatter",)

from collections.abc import Mapping
from typing import ClassVar

from astropy.io import fits

from ..formats.fits.hdu_list import copy_hdus, read_hdus, read_headers
from ..formats.fits.tile_compression import compress_images
from .base import Reader
from .fits import FITSFormatter


class HDUListFormatter(FITSFormatter):
    """Reads and writes `~astropy.io.fits.HDUList`, or some of its HDUs.

    The read parameter ``hdus`` chooses HDUs by name, number or ``(name,
    version)``.  The component ``headers`` maps each HDU's name to its header.

    A recipe other than ``none`` tile-compresses the image extensions that are
    not compressed yet; a primary image and tables stay as they are.
    """

    parameters = frozenset({"hdus"})
    readers: ClassVar[Mapping[str | None, Reader]] = {
        None: lambda file, parameters: read_hdus(file, **parameters),
        "headers": lambda file, parameters: read_headers(file, **parameters),
    }

    def to_hdulist(self, dataset: fits.HDUList) -> fits.HDUList:
        """Return copies of the HDUs, compressed as the recipe says."""
        return compress_images(copy_hdus(dataset), self.recipe)

"""Spectral images in memory and as FITS: pixels, headers, PSF, wavelengths, flags and positions.

Imports ``..formats``, ``..errors``, ``..names`` and ``..constants``; nothing of Butler.
The classes are loaded on first use: what reads headers alone does not need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .psf import SpectralImagePSF
    from .spectral_image import SpectralImage
    from .wavelengths import WavelengthTable

__all__ = ("SpectralImage", "SpectralImagePSF", "WavelengthTable")

if not TYPE_CHECKING:  # for which any name would be one of these
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "SpectralImage": "spectral_image",
            "SpectralImagePSF": "psf",
            "WavelengthTable": "wavelengths",
        },
    )

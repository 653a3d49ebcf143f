"""Spectral images in memory, without a file."""

from __future__ import annotations

__all__ = ("make_spectral_image",)

from typing import Unpack

from ..images.spectral_image import SpectralImage
from .frames import Level2Options
from .level2 import level2_hdulist

_SIZE = 64


def make_spectral_image(**options: Unpack[Level2Options]) -> SpectralImage:
    """Return a simulated image, with every plane, PSF and wavelengths.

    Parameters
    ----------
    **options
        See `Level2Options`; ``size`` is 64 pixels unless given.

    Raises
    ------
    FormatError, ParameterError
        Raised if an option has no meaning.
    """
    complete: Level2Options = {"size": _SIZE, **options}
    return SpectralImage.from_hdulist(level2_hdulist(**complete))

"""`SpectralImageFormatter`: `~spherex_butler.SpectralImage` in the FITS format of `spherex_butler.images.level2`."""

from __future__ import annotations

__all__ = ("SpectralImageFormatter",)

from collections.abc import Callable, Mapping
from typing import Any

import astropy.units as u
from astropy.io import fits

from ..formats.fits.file import FitsFile
from ..images.flags import flagged, read_flag_definitions
from ..images.geometry import celestial_wcs, sky_corners
from ..images.headers import read_calibrations
from ..images.level2 import RECIPES, Level2File
from ..images.spectral_image import SpectralImage
from ..images.wavelengths import EXTNAME
from .base import Reader
from .fits import FITSFormatter

_COMPONENTS: Mapping[str, Callable[[Level2File], Any]] = {
    "image": lambda file: file.plane("IMAGE"),
    "variance": lambda file: file.plane("VARIANCE"),
    "flags": lambda file: file.plane("FLAGS"),
    "zodi": lambda file: file.plane("ZODI"),
    "mask": lambda file: flagged(file.plane("FLAGS"), read_flag_definitions(file.plane_header("FLAGS").header)),
    "wavelength": lambda file: file.wavelengths().grid(file.box, 0) << u.um,
    "bandwidth": lambda file: file.wavelengths().grid(file.box, 1) << u.um,
    "wcs": lambda file: celestial_wcs(file.header),
    "spectral_wcs": lambda file: file.wavelengths().wcs(file.header),
    "psf": lambda file: file.psf(),
    "header": lambda file: file.header.header,
    "primary_header": lambda file: file.primary_header.header,
    "flag_definitions": lambda file: read_flag_definitions(file.plane_header("FLAGS").header),
    "calibrations": lambda file: read_calibrations(file.header.header),
    "footprint": lambda file: sky_corners(celestial_wcs(file.header), file.box.shape),
    "origin": lambda file: [file.box.x_min, file.box.y_min],
    "shape": lambda file: list(file.box.shape),
}
"""How each component is read: what it needs of the file and no more."""

_NEEDS = {
    "image": ("IMAGE",),
    "variance": ("VARIANCE",),
    "flags": ("FLAGS",),
    "zodi": ("ZODI",),
    "mask": ("FLAGS",),
    **dict.fromkeys(("wavelength", "bandwidth", "spectral_wcs"), (EXTNAME,)),
}
"""Which HDUs a component needs besides the IMAGE header, to be read ahead."""


def _open(file: FitsFile, parameters: Mapping[str, Any]) -> Level2File:
    cutout = {name: value for name, value in parameters.items() if name != "planes"}
    return Level2File(file, cutout)


def _read_image(file: FitsFile, parameters: Mapping[str, Any]) -> SpectralImage:
    return SpectralImage.from_level2(_open(file, parameters), parameters.get("planes"))


def _component(name: str) -> Reader:
    def read(file: FitsFile, parameters: Mapping[str, Any]) -> Any:
        level2 = _open(file, parameters)
        level2.read_ahead(_NEEDS.get(name, ()))
        return _COMPONENTS[name](level2)

    return read


_READERS: Mapping[str | None, Reader] = {None: _read_image, **{name: _component(name) for name in _COMPONENTS}}


class SpectralImageFormatter(FITSFormatter):
    """Reads and writes Level 2 files, whole, in part, or one component at a time."""

    recipes = RECIPES
    default_recipe = "lossless"
    parameters = frozenset({"bbox", "center", "size", "mode", "planes"})
    readers = _READERS

    def to_hdulist(self, dataset: SpectralImage) -> fits.HDUList:
        """Return the HDUs of an image, compressed as the recipe says."""
        return dataset.to_hdulist(self.recipe)

"""What of an image can be shown: its planes by name, with their labels, and how each is usually drawn."""

from __future__ import annotations

__all__ = ("PLANES", "Plane", "as_spectral_image", "celestial_of", "has_wavelengths", "plane_of", "warn_of_wcs")

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.wcs import WCS
from numpy.typing import NDArray

from ..errors import FormatError, ParameterError, SpherexButlerWarning, near, reason_of
from ..images.representation import unit_text
from ..images.spectral_image import SpectralImage

_BRIGHTNESS = "surface brightness"


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane of an image.

    Parameters
    ----------
    label
        What a colour bar says, without the unit.
    values
        From an image: an array of its shape, or a quantity.
    unit
        From an image, of values that are an array.
    stretch
        As it is usually drawn.
    colors
        Name of a colour map, likewise.
    """

    label: str
    values: Callable[[SpectralImage], Any]
    unit: Callable[[SpectralImage], u.UnitBase]
    stretch: str = "asinh"
    colors: str = "gray"

    def labelled(self, unit: u.UnitBase) -> tuple[str, str]:
        """Return what a colour bar says of values in a unit: what they are, and the unit."""
        is_brightness = self.label != _BRIGHTNESS or unit.is_equivalent(u.MJy / u.sr)
        return self.label if is_brightness else "image", f" [{unit_text(unit)}]" if str(unit) else ""

    def of(self, image: SpectralImage) -> tuple[NDArray[Any], u.UnitBase]:
        """Return the values of an image, and their unit."""
        unit = self.unit(image)
        values = self.values(image)
        return np.asarray(values.to_value(unit) if isinstance(values, u.Quantity) else values), unit


PLANES: Mapping[str, Plane] = {
    "image": Plane(_BRIGHTNESS, lambda image: image.data, lambda image: image.unit),
    "zodi": Plane("zodiacal light, model", lambda image: image.zodi, lambda image: image.unit, "linear"),
    "variance": Plane("variance", lambda image: image.variance, lambda image: image.unit**2),
    "error": Plane("standard deviation", lambda image: image.error, lambda image: image.unit),
    "wavelength": Plane("wavelength", lambda image: image.wavelength, lambda _: u.um, "linear", "viridis"),
    "bandwidth": Plane("bandwidth", lambda image: image.bandwidth, lambda _: u.um, "linear", "viridis"),
}


def plane_of(name: object) -> Plane:
    """Return a plane by its name.

    Raises
    ------
    ParameterError
        Raised if there is none of this name.
    """
    if not isinstance(name, str) or name not in PLANES:
        raise ParameterError(
            f"plane={name!r} is not known{near(str(name), PLANES)} Expected one of {', '.join(PLANES)}."
        )
    return PLANES[name]


def as_spectral_image(image: object) -> SpectralImage:
    """Return an image that can be drawn, of any `~astropy.nddata.CCDData` with two axes.

    Raises
    ------
    ParameterError
        Raised if it is something else.
    """
    if isinstance(image, SpectralImage):
        return image
    if not isinstance(image, CCDData) or image.data.ndim != 2:
        shape = f" of shape {np.shape(image.data)}" if isinstance(image, CCDData) else ""
        raise ParameterError(
            f"The image is a {type(image).__name__}{shape}; expected a SpectralImage, or another CCDData with two axes."
        )
    return SpectralImage(image.data, unit=image.unit, mask=image.mask, wcs=image.wcs)


def has_wavelengths(image: SpectralImage) -> bool:
    """Return whether an image knows its wavelengths."""
    try:
        return bool(image.wavelength_table)
    except ParameterError:
        return False


def celestial_of(image: SpectralImage) -> WCS | None:
    """Return the celestial WCS of an image, `None` if it has none, or one that gives its pixels no place."""
    return _celestial(image)[0]


def warn_of_wcs(image: SpectralImage) -> None:
    """Warn if an image has a celestial WCS that gives its pixels no place, so that it is drawn without the sky."""
    if problem := _celestial(image)[1]:
        of = image.obs_id or "an image"
        warnings.warn(
            f"The picture of {of} has pixels in place of the sky, because {problem}. Mend the header's cards of the "
            "WCS, or assign image.wcs.",
            SpherexButlerWarning,
            stacklevel=3,
        )


def _celestial(image: SpectralImage) -> tuple[WCS | None, str]:
    """Return the celestial WCS of an image, and why a WCS that it has is of no use."""
    try:
        wcs = image.wcs
        if wcs is None or not wcs.has_celestial:
            return None, ""
        found = wcs.celestial
        middle = (np.array(image.data.shape[::-1]) - 1) / 2
        there = np.array(found.all_pix2world(*middle, 0))
        back = np.array(found.all_world2pix(*there, 0, quiet=True))
    except FormatError as error:
        return None, reason_of(error).rstrip(".")
    except Exception as error:  # noqa: BLE001 - wcslib's errors have no common base
        return None, f"its WCS cannot be used: {reason_of(error).rstrip('.')}"
    if not np.allclose(back, middle, rtol=0, atol=1):
        return None, f"its WCS leads from the pixel in the middle to {there.tolist()}, and from there not back"
    return found, ""

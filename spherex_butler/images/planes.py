"""What may be assigned to a part of an image: values checked, and brought to the form in which they are kept."""

from __future__ import annotations

__all__ = ("as_flags", "as_mask", "as_variance", "fitting", "loaded", "of_type")

from typing import Any, TypeVar

import astropy.units as u
import numpy as np
from astropy.nddata import NDUncertainty, StdDevUncertainty, VarianceUncertainty
from numpy.typing import NDArray

from ..errors import FormatError, ParameterError

Part = TypeVar("Part")


_GIVEN_BY = {
    "VARIANCE": "variance=…, or assign an astropy uncertainty to image.uncertainty",
    "FLAGS": "flags=… and plane_headers={'FLAGS': …}, whose header defines their bits",
    "ZODI": "zodi=…",
    "PSF": "psf=…, or assign one to image.psf",
    "WCS-WAVE": "wavelengths=…",
}
"""How a part comes into an image that is made in memory."""


def loaded(hdu: str, part: Part | None, *, in_memory: bool = False) -> Part:
    """Return a part of an image; if it is `None`, a `ParameterError` says how it is loaded, or given to an image."""
    if part is not None:
        return part
    if in_memory:
        raise ParameterError(
            f"This image has no {hdu}: it was made without. Make it by SpectralImage(data, …) with {_GIVEN_BY[hdu]}."
        )
    raise ParameterError(
        f"This image has no {hdu}: it was not loaded (planes=[…, {hdu!r}] loads it), "
        "or its file or an operation on it left it out."
    )


def fitting(name: str, plane: Any, shape: tuple[int, ...]) -> Any:
    """Return a plane or `None`; a `FormatError` says if the plane has another shape than the image."""
    if plane is not None and np.shape(plane) != shape:
        raise FormatError(f"{name} has shape {np.shape(plane)}; expected {shape}, the shape of IMAGE.")
    return plane


def as_flags(value: NDArray[Any] | None, shape: tuple[int, ...], *, defined: bool) -> NDArray[Any] | None:
    """Return flags or `None`; a `FormatError` says if they are not integers of the image's shape, or not defined."""
    if value is None:
        return None
    if not np.issubdtype(fitting("FLAGS", value, shape).dtype, np.integer):
        raise FormatError(f"FLAGS are {value.dtype}; expected integers, whose bits are the flags.")
    if not defined:
        raise FormatError("Flags came without a FLAGS header; expected one that defines their bits.")
    return value


def as_mask(value: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return a mask as an array; `None` where numpy or astropy mean that there is none."""
    return None if value is None or value is np.ma.nomask else fitting("mask", np.asarray(value, dtype=bool), shape)


def as_variance(value: NDUncertainty | NDArray[Any], unit: u.UnitBase, shape: tuple[int, ...]) -> VarianceUncertainty:
    """Return an uncertainty, or an array of standard deviations as CCDData takes it, as variance of a unit."""
    given = value if isinstance(value, NDUncertainty) else StdDevUncertainty(value)
    fitting("uncertainty", given.array, shape)
    variance = given.represent_as(VarianceUncertainty)
    array = variance.array
    if variance.unit is not None and variance.unit != unit**2:
        array = array * variance.unit.to(unit**2)
    return VarianceUncertainty(array, copy=False)


def of_type(name: str, value: Any, *types: type) -> Any:
    """Return a value of one of some types or `None`; anything else is a `TypeError`."""
    if value is not None and not isinstance(value, types):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a {types[0].__name__} or None.")
    return value

"""Arithmetic with images: what becomes of each part of the operands.

The variance is propagated, the flags are ORed, WCS, PSF and origin are the
left operand's, and the zodiacal light is dropped: it would belong to neither.

The public functions are the methods of `~spherex_butler.SpectralImage` of the
same name, or without ``_of``.
"""

from __future__ import annotations

__all__ = (
    "add",
    "convert_unit_to",
    "divide",
    "max_of",
    "mean_of",
    "min_of",
    "multiply",
    "subtract",
    "subtract_zodi",
    "sum_of",
    "to_ccddata",
)

import math
from typing import Any, TypeVar

import astropy.units as u
from astropy.nddata import CCDData, NDData, VarianceUncertainty
from numpy.typing import NDArray

from ..errors import ParameterError
from .derived import DERIVED
from .headers import ImageHeaders

Image = TypeVar("Image", bound=CCDData)

_FLOAT32_SAFE = 1e-25  # a plane times a factor between this and its inverse stays within float32


def add(image: Image, operand: Any, **options: Any) -> Image:
    """Return the sum with a number, a quantity, an array or an image."""
    return _combined("add", image, operand, options)


def subtract(image: Image, operand: Any, **options: Any) -> Image:
    """Return the difference from a number, a quantity, an array or an image."""
    return _combined("subtract", image, operand, options)


def multiply(image: Image, operand: Any, **options: Any) -> Image:
    """Return the product with a number, a quantity, an array or an image."""
    return _combined("multiply", image, operand, options)


def divide(image: Image, operand: Any, **options: Any) -> Image:
    """Return the quotient by a number, a quantity, an array or an image."""
    return _combined("divide", image, operand, options)


def sum_of(image: Image, **options: Any) -> CCDData:
    """Return the sum over all pixels or along an axis, without uncertainty; options as of `~astropy.nddata.CCDData`."""
    return _collapsed("sum", image, options)


def mean_of(image: Image, **options: Any) -> CCDData:
    """Return the mean over all pixels or along an axis; see ``sum``."""
    return _collapsed("mean", image, options)


def min_of(image: Image, **options: Any) -> CCDData:
    """Return the minimum over all pixels or along an axis; see ``sum``."""
    return _collapsed("min", image, options)


def max_of(image: Image, **options: Any) -> CCDData:
    """Return the maximum over all pixels or along an axis; see ``sum``."""
    return _collapsed("max", image, options)


def convert_unit_to(image: Image, unit: u.UnitBase | str, equivalencies: Any = ()) -> Image:
    """Return the image in another unit, with its variance and zodiacal light converted, too.

    Raises
    ------
    ParameterError
        Raised if the conversion is not by a factor.
    """
    factor, twice = (float(image.unit.to(unit, value, equivalencies=list(equivalencies))) for value in (1.0, 2.0))
    if not math.isclose(twice, 2 * factor, rel_tol=1e-9):
        raise ParameterError(f"{image.unit} does not become {unit} by a factor, which variance and zodi need.")
    parts = image._parts()
    converted: Image = image._with_parts(
        data=image.data * factor,
        unit=u.Unit(unit),
        variance=_scaled(parts["variance"], factor**2),
        zodi=_scaled(parts["zodi"], factor),
    )
    return converted


def subtract_zodi(image: Image, *, scale: float = 1.0) -> Image:
    """Return the image without zodiacal light, and without its model, which no longer applies.

    Parameters
    ----------
    scale
        The model is multiplied by this before it is subtracted.
    """
    light = image.zodi if scale == 1 else image.zodi * image.zodi.dtype.type(scale)
    result: Image = image._with_parts(data=image.data - light, zodi=None)
    result.meta.add_history("Zodiacal light model subtracted")
    return result


def to_ccddata(image: Image) -> CCDData:
    """Return the image as a plain `~astropy.nddata.CCDData`, without PSF, which could only be an array there.

    The arrays are shared, not copied.  (``CCDData(image)`` fails, as it takes the PSF along.)
    """
    return CCDData(**_plain_parts(image), wcs=image.wcs, meta=image.meta.copy(), flags=image._flags)


def _combined(operation: str, image: Image, operand: Any, options: dict[str, Any]) -> Image:
    other = _plain(operand, options) if isinstance(operand, NDData) else operand
    result = getattr(_plain(image, options), operation)(other, **options)
    flags, flags_tell_mask = _combined_flags(image, operand)
    combined: Image = image._with_parts(
        data=result.data,
        unit=result.unit,
        variance=None if result.uncertainty is None else result.uncertainty.array,
        flags=flags,
        zodi=None,
        mask=DERIVED if flags_tell_mask and "handle_mask" not in options else result.mask,
    )
    return combined


def _collapsed(operation: str, image: Image, options: dict[str, Any]) -> CCDData:
    # astropy fails to propagate a variance through sum and mean (astropy 8.0: it squares the unit twice).
    return getattr(CCDData(**{**_plain_parts(image), "uncertainty": None}), operation)(**options)


def _plain(image: NDData, options: dict[str, Any]) -> CCDData:
    """Return an image as CCDData's own arithmetic takes it, with a WCS only if that is to be compared."""
    return CCDData(**_plain_parts(image), wcs=image.wcs if "compare_wcs" in options else None)


def _plain_parts(image: NDData) -> dict[str, Any]:
    variance = None if image.uncertainty is None else image.uncertainty.represent_as(VarianceUncertainty)
    unit = u.one if image.unit is None else image.unit
    return {"data": image.data, "unit": unit, "uncertainty": variance, "mask": image.mask}


def _combined_flags(image: Image, operand: Any) -> tuple[NDArray[Any] | None, bool]:
    """Return the flags of the result, and whether its mask follows from them."""
    derived = type(image).mask.assigned(image) is DERIVED
    if not _is_spectral(operand):
        return image._flags, derived and getattr(operand, "mask", None) is None
    derived = derived and type(operand).mask.assigned(operand) is DERIVED
    if image._flags is None or operand._flags is None:
        return image._flags, derived and operand._flags is None
    if operand.flag_definitions != image.flag_definitions:
        raise ParameterError(
            f"The two images define flags differently: {image.flag_definitions} and {operand.flag_definitions}; "
            "combine their data instead."
        )
    return image._flags | operand._flags, derived and operand._bad_flags == image._bad_flags


def _is_spectral(operand: Any) -> bool:
    return isinstance(getattr(operand, "_headers", None), ImageHeaders)


def _scaled(plane: NDArray[Any] | None, factor: float) -> NDArray[Any] | None:
    """Return a plane times a factor, in double precision where single precision might not hold it."""
    if plane is None:
        return None
    return (plane if _FLOAT32_SAFE < factor < 1 / _FLOAT32_SAFE else plane.astype(float)) * factor

"""Arithmetic with images: what becomes of each part of the operands.

The variance is propagated, the flags are ORed, WCS, PSF and origin are the
left operand's, and the zodiacal light is dropped: it would be that of neither.
"""

from __future__ import annotations

__all__ = ("ImageArithmetic",)

import math
from typing import Any, Self

import astropy.units as u
from astropy.nddata import CCDData, NDData, VarianceUncertainty
from numpy.typing import NDArray

from ..errors import ParameterError
from .coordinates import ImageCoordinates


class ImageArithmetic(ImageCoordinates):
    """The part of `~spherex_butler.SpectralImage` that is about arithmetic."""

    def add(self, operand: Any, **options: Any) -> Self:
        """Return the sum with a number, a quantity, an array or an image."""
        return self._combined("add", operand, options)

    def subtract(self, operand: Any, **options: Any) -> Self:
        """Return the difference."""
        return self._combined("subtract", operand, options)

    def multiply(self, operand: Any, **options: Any) -> Self:
        """Return the product."""
        return self._combined("multiply", operand, options)

    def divide(self, operand: Any, **options: Any) -> Self:
        """Return the quotient."""
        return self._combined("divide", operand, options)

    def sum(self, **options: Any) -> CCDData:
        """Return the sum over pixels or an axis, without uncertainty, as `~astropy.nddata.CCDData` has it."""
        return self._collapsed("sum", options)

    def mean(self, **options: Any) -> CCDData:
        """Return the mean over pixels or an axis, likewise."""
        return self._collapsed("mean", options)

    def min(self, **options: Any) -> CCDData:
        """Return the minimum over pixels or an axis, likewise."""
        return self._collapsed("min", options)

    def max(self, **options: Any) -> CCDData:
        """Return the maximum over pixels or an axis, likewise."""
        return self._collapsed("max", options)

    def convert_unit_to(self, unit: u.UnitBase | str, equivalencies: Any = ()) -> Self:
        """Return the image in another unit, its variance and zodi converted with it.

        Raises
        ------
        ParameterError
            Raised if the conversion is not by a factor.
        """
        factor, twice = (float(self.unit.to(unit, value, equivalencies=list(equivalencies))) for value in (1.0, 2.0))
        if not math.isclose(twice, 2 * factor, rel_tol=1e-9):
            raise ParameterError(f"{self.unit} does not become {unit} by a factor, which variance and zodi need.")
        variance, zodi = self._variance_or_none, self._zodi
        if variance is not None and not _FLOAT32_SAFE < factor**2 < 1 / _FLOAT32_SAFE:
            variance = variance.astype(float)
        return self._rebuilt(
            data=self.data * factor,
            unit=u.Unit(unit),
            variance=None if variance is None else variance * factor**2,
            zodi=None if zodi is None else zodi * factor,
        )

    def subtract_zodi(self) -> Self:
        """Return the image without zodiacal light, and without the model, which no longer applies."""
        image = self._rebuilt(data=self.data - self.zodi, zodi=None)
        image.meta.add_history("Zodiacal light model subtracted")
        return image

    def to_ccddata(self) -> CCDData:
        """Return the image as a plain `~astropy.nddata.CCDData`, whose PSF can only be an array and is left out.

        ``CCDData(image)`` asks for one and so refuses.  The arrays are shared, not copied.
        """
        return CCDData(**self._plain_parts(), wcs=self.wcs, meta=self.meta.copy(), flags=self._flags)

    def _plain_parts(self) -> dict[str, Any]:
        """Return what CCDData's own arithmetic needs of the image."""
        variance = self._variance_or_none
        uncertainty = None if variance is None else VarianceUncertainty(variance, copy=False)
        return {"data": self.data, "unit": self.unit, "uncertainty": uncertainty, "mask": self.mask}

    def _plain(self, options: dict[str, Any]) -> CCDData:
        return CCDData(**self._plain_parts(), wcs=self.wcs if "compare_wcs" in options else None)

    def _combined(self, operation: str, operand: Any, options: dict[str, Any]) -> Self:
        other = operand._plain(options) if isinstance(operand, ImageArithmetic) else _with_variance(operand, options)
        result = getattr(self._plain(options), operation)(other, **options)
        image = self._rebuilt(
            data=result.data,
            unit=result.unit,
            variance=None if result.uncertainty is None else result.uncertainty.array,
            flags=self._merged_flags(operand),
            zodi=None,
        )
        if "handle_mask" in options or not self._mask_follows(operand):
            image.mask = result.mask
        return image

    def _collapsed(self, operation: str, options: dict[str, Any]) -> CCDData:
        # astropy fails to propagate a variance through sum and mean (astropy 8.0: it squares the unit twice).
        parts = {**self._plain_parts(), "uncertainty": None}
        return getattr(CCDData(**parts), operation)(**options)

    def _merged_flags(self, operand: Any) -> NDArray[Any] | None:
        if self._flags is None or not isinstance(operand, ImageArithmetic) or operand._flags is None:
            return self._flags
        if operand.flag_definitions != self.flag_definitions:
            raise ParameterError(
                f"The two images define flags differently: {self.flag_definitions} and {operand.flag_definitions}; "
                "combine their data instead."
            )
        merged: NDArray[Any] = self._flags | operand._flags
        return merged

    def _mask_follows(self, operand: Any) -> bool:
        """Whether the result's mask follows from its flags."""
        if self._has_own_mask:
            return False
        if not isinstance(operand, ImageArithmetic):
            return getattr(operand, "mask", None) is None
        if operand._has_own_mask:
            return False
        both = self._flags is not None and operand._flags is not None
        return both and operand._bad_flags == self._bad_flags


def _with_variance(operand: Any, options: dict[str, Any]) -> Any:
    """Return an operand with its uncertainty, of whatever kind, as the variance that astropy can combine with ours."""
    if not isinstance(operand, NDData):
        return operand
    given = operand.uncertainty
    return CCDData(
        operand.data,
        unit=u.one if operand.unit is None else operand.unit,
        uncertainty=None if given is None else given.represent_as(VarianceUncertainty),
        mask=operand.mask,
        wcs=operand.wcs if "compare_wcs" in options else None,
    )


_FLOAT32_SAFE = 1e-20  # factors of a variance within this and its inverse leave it within float32

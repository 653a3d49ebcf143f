"""The planes of an image, each checked against the others when it is assigned."""

from __future__ import annotations

__all__ = ("ImagePlanes",)

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, NDUncertainty, StdDevUncertainty, VarianceUncertainty
from numpy.typing import NDArray

from ..errors import FormatError, ParameterError
from .flags import bit_mask, flagged, read_flag_definitions
from .headers import ImageHeaders
from .psf import SpectralImagePSF
from .wavelengths import WavelengthTable


class ImagePlanes(ImageHeaders):
    """The part of `~spherex_butler.SpectralImage` that is about what it holds."""

    unit: u.UnitBase
    _data: NDArray[Any]
    _uncertainty: VarianceUncertainty | None
    _flags: NDArray[Any] | None = None
    _zodi: NDArray[Any] | None = None
    _psf: SpectralImagePSF | None = None
    _wavelengths: WavelengthTable | None = None
    _bad_flags: tuple[str, ...] | None = None
    _derived_mask: NDArray[np.bool_] | None = None
    _own_mask: NDArray[np.bool_] | None = None
    _has_own_mask: bool = False

    if TYPE_CHECKING:

        def _rebuilt(self, **changes: Any) -> Self: ...

    @property
    def data(self) -> NDArray[Any]:
        """Surface brightness, in ``unit``; shape (rows, columns)."""
        array: NDArray[Any] = self._data
        return array

    @data.setter
    def data(self, value: NDArray[Any]) -> None:
        if np.shape(value) != self._data.shape:
            raise FormatError(f"data has shape {np.shape(value)}; expected that of the image, {self._data.shape}.")
        self._data = value

    @property
    def uncertainty(self) -> VarianceUncertainty | None:
        """The variance as astropy has it; another kind assigned is converted to it."""
        uncertainty: VarianceUncertainty | None = self._uncertainty
        return uncertainty

    @uncertainty.setter
    def uncertainty(self, value: NDUncertainty | NDArray[Any] | None) -> None:
        CCDData.uncertainty.fset(self, None if value is None else self._as_variance(value))

    def _as_variance(self, value: Any) -> VarianceUncertainty:
        """Return an uncertainty, or an array of standard deviations as CCDData takes it, as variance in our unit."""
        given = value if isinstance(value, NDUncertainty) else StdDevUncertainty(value)
        self._check_shape("uncertainty", given.array)
        variance = given.represent_as(VarianceUncertainty)
        array = variance.array
        if variance.unit is not None and variance.unit != self.unit**2:
            array = array * variance.unit.to(self.unit**2)
        return VarianceUncertainty(array, copy=False)

    @property
    def variance(self) -> NDArray[Any]:
        """Variance, in the square of ``unit``."""
        if self.uncertainty is None:
            raise _absent("VARIANCE")
        return np.asarray(self.uncertainty.array)

    @property
    def flags(self) -> NDArray[Any]:
        """Flag bits of each pixel; `flag_definitions` names them.

        Assign them anew to change them: the mask then follows.
        """
        if self._flags is None:
            raise _absent("FLAGS")
        return self._flags

    @flags.setter
    def flags(self, value: NDArray[Any] | None) -> None:
        self._flags = value
        self._derived_mask = None
        self._check_flags()

    @property
    def zodi(self) -> NDArray[Any]:
        """Model of the zodiacal light that ``data`` still contains, in ``unit``."""
        if self._zodi is None:
            raise _absent("ZODI")
        return self._zodi

    @property
    def psf(self) -> SpectralImagePSF:
        """Kernels of the PSF zones."""
        if self._psf is None:
            raise _absent("PSF")
        return self._psf

    @psf.setter
    def psf(self, value: SpectralImagePSF | None) -> None:
        if value is not None and not isinstance(value, SpectralImagePSF):
            raise TypeError(f"psf is a {type(value).__name__}; expected a SpectralImagePSF.")
        self._psf = value

    @property
    def wavelength_table(self) -> WavelengthTable:
        """Control points of wavelength and bandwidth."""
        if self._wavelengths is None:
            raise _absent("WCS-WAVE")
        return self._wavelengths

    @property
    def flag_definitions(self) -> dict[str, int]:
        """Bit number of each flag, as the file defines them."""
        if "FLAGS" not in self._headers:
            raise _absent("FLAGS")
        return read_flag_definitions(self._headers["FLAGS"].header)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Pixels that one of the bad flags spoils; `None` where no flags were loaded."""
        if self._has_own_mask:
            own: NDArray[np.bool_] | None = self._own_mask
            return own
        if self._derived_mask is None and self._flags is not None:
            self._derived_mask = flagged(self._flags, self.flag_definitions, self._bad_flags)
        return self._derived_mask

    @mask.setter
    def mask(self, value: NDArray[np.bool_] | None) -> None:
        self._own_mask, self._has_own_mask = value, True
        self._mask = value  # NDData's own constructor reads it back

    def with_mask(self, *, bad: Iterable[str]) -> Self:
        """Return the image with another choice of the flags that spoil a pixel.

        Parameters
        ----------
        bad
            Names of flags.

        Raises
        ------
        ParameterError
            Raised if a name is not among `flag_definitions`.
        """
        names = (bad,) if isinstance(bad, str) else tuple(bad)
        bit_mask(self.flag_definitions, names)
        image = self._rebuilt()
        image._bad_flags = names
        image._own_mask, image._has_own_mask = None, False
        return image

    def _check_shape(self, name: str, plane: Any) -> None:
        if plane is not None and np.shape(plane) != self.data.shape:
            raise FormatError(f"{name} has shape {np.shape(plane)}; expected that of IMAGE, {self.data.shape}.")

    def _check_flags(self) -> None:
        if self._flags is None:
            return
        self._check_shape("FLAGS", self._flags)
        if not np.issubdtype(self._flags.dtype, np.integer):
            raise FormatError(f"FLAGS are {self._flags.dtype}; expected integers, whose bits are the flags.")
        if "FLAGS" not in self._headers:
            raise FormatError("Flags came without a FLAGS header; expected one that defines their bits.")

    @property
    def _variance_or_none(self) -> NDArray[Any] | None:
        return None if self.uncertainty is None else self.uncertainty.array


def _absent(name: str) -> ParameterError:
    return ParameterError(
        f"This image has no {name}: it was not loaded (planes=[…, {name!r}] loads it), "
        "or its file or an operation on it left it out."
    )

"""QR2's images put onto the gains of QR3, by factors that the archive gives for every pixel."""

from __future__ import annotations

__all__ = ("UNCORRECTED", "apply_gains", "part_of_frame", "with_wavelengths_of")

from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .checks import require_spectral_image
from .flagging import with_flag
from .psf import SpectralImagePSF
from .spectral_image import SpectralImage
from .wavelengths import WavelengthTable

_LOWEST, _HIGHEST = 0.5, 2.0  # beyond these a factor is wild: the archive's have 0.011 to 3653

UNCORRECTED = "UNCORRECTED"
"""The flag of pixels whose factor is wild, or not a number, so that it was not applied."""


def apply_gains(image: SpectralImage, corrections: Any) -> SpectralImage:
    """Return an image of QR2 on the gains of QR3: IMAGE and ZODI times f, VARIANCE times f².

    Pixels whose factor is not from 0.5 to 2 stay as they are, and are flagged ``UNCORRECTED``, a flag that spoils a
    pixel.

    Parameters
    ----------
    image
        An image or a cutout, with FLAGS, that has not been corrected before.
    corrections
        An ``l3_flux_corrections`` of its detector: what ``butler.get`` returns, or an array of the full frame.

    Raises
    ------
    ParameterError
        Raised if the corrections are none or do not cover the image, it is on the gains of QR3 already, or all its
        flag bits are taken.
    """
    require_spectral_image(image)
    _require_gains_of_qr2(image)
    factors = part_of_frame(_factors(corrections), image)
    with np.errstate(invalid="ignore"):
        tame = (factors >= _LOWEST) & (factors <= _HIGHEST)
    applied = np.where(tame, factors, 1.0).astype(image.data.dtype)
    parts = image._parts()
    changed = {"data": image.data * applied}
    for name, power in (("variance", 2), ("zodi", 1)):
        if parts[name] is not None:
            changed[name] = parts[name] * applied**power
    return with_flag(image._with_parts(**changed), UNCORRECTED, ~tame, "gain factor was not applied")


def _require_gains_of_qr2(image: SpectralImage) -> None:
    """Refuse an image of QR3, told by the form of its PSF, and one that was corrected, told by its flag."""
    if UNCORRECTED in image.flag_definitions:
        raise ParameterError(
            f"The image {image.obs_id} of detector {image.detector} has the flag {UNCORRECTED}, which apply_gains "
            "defines: it is on the gains of QR3 already. Expected it as it was published."
        )
    psf = image._parts()["psf"]  # one that would have to be read first is not looked at
    if isinstance(psf, SpectralImagePSF) and psf.is_effective:
        raise ParameterError(
            f"The image {image.obs_id} of detector {image.detector} is of QR3, as the form of its PSF tells; expected "
            "one of QR2, whose gains are others."
        )


def _factors(corrections: Any) -> NDArray[np.float64]:
    """Return the factors as numbers; refuse an image, whose pixels are no factors, and what holds no numbers."""
    unit = getattr(corrections, "unit", None)
    values = np.asarray(getattr(corrections, "data", corrections))
    if (unit is not None and unit != u.dimensionless_unscaled) or values.dtype.kind not in "fiu":
        raise ParameterError(
            f"The corrections are a {type(corrections).__name__}{f' in {unit}' if unit else ''}; expected factors "
            "without a unit, as butler.get('l3_flux_corrections', …) returns them, or an array of numbers."
        )
    return values.astype(float)


def with_wavelengths_of(image: SpectralImage, release: str) -> SpectralImage:
    """Return an image with the wavelengths that images of its detector have in a release, ``"qr2"`` or ``"qr3"``."""
    if image.detector is None:
        raise ParameterError("The image does not say which detector it is of, and wavelengths are those of a detector.")
    return image._with_parts(wavelengths=WavelengthTable.of_detector(image.detector, release))


def part_of_frame(values: NDArray[Any], image: SpectralImage) -> NDArray[Any]:
    """Return the part of a calibration that an image shows: of the full frame, or of the image alone already.

    Raises
    ------
    ParameterError
        Raised if the calibration does not cover the image.
    """
    if values.shape == image.data.shape:
        return values
    found = values[image.box.slices] if values.ndim == 2 else values
    if found.shape != image.data.shape:
        raise ParameterError(
            f"The corrections have shape {values.shape} and the image is {image.box}; expected those of the full "
            "frame, 2040 x 2040."
        )
    return found

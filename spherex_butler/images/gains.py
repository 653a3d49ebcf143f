"""QR2's images put onto the gains of QR3, by factors that the archive gives for every pixel."""

from __future__ import annotations

__all__ = ("UNCORRECTED", "apply_gains")

from typing import Any

import numpy as np
from astropy.io.fits import Header
from numpy.typing import NDArray

from ..errors import ParameterError
from .spectral_image import SpectralImage

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
        An image or a cutout, with FLAGS.
    corrections
        An ``l3_flux_corrections`` of its detector: what ``butler.get`` returns, or an array of the full frame.

    Raises
    ------
    ParameterError
        Raised if the corrections do not cover the image, or all its flag bits are taken.
    """
    factors = _part(np.asarray(getattr(corrections, "data", corrections), float), image)
    with np.errstate(invalid="ignore"):
        tame = (factors >= _LOWEST) & (factors <= _HIGHEST)
    applied = np.where(tame, factors, 1.0).astype(image.data.dtype)
    parts = image._parts()
    parts["data"] = image.data * applied
    for name, power in (("variance", 2), ("zodi", 1)):
        if parts[name] is not None:
            parts[name] = parts[name] * applied**power
    parts["flags"], parts["plane_headers"] = _with_flag(image, ~tame)
    return type(image)(**parts)


def _part(factors: NDArray[np.float64], image: SpectralImage) -> NDArray[np.float64]:
    if factors.shape == image.data.shape:
        return factors
    found = factors[image.box.slices] if factors.ndim == 2 else factors
    if found.shape != image.data.shape:
        raise ParameterError(
            f"The corrections have shape {factors.shape} and the image is {image.box}; expected those of the full "
            "frame, 2040 x 2040."
        )
    return found


def _with_flag(image: SpectralImage, pixels: NDArray[np.bool_]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the flags and headers with one more flag, defined as QR2 defines them."""
    definitions = image.flag_definitions
    free = sorted(set(range(31)) - set(definitions.values()))
    if UNCORRECTED not in definitions and not free:
        raise ParameterError(f"All flag bits of the image are taken, and {UNCORRECTED} needs one.")
    bit = definitions.get(UNCORRECTED, free[0] if free else 0)
    flags = np.array(image.flags, np.int32)
    flags[pixels] |= np.int32(1 << bit)
    headers = dict(image._parts()["plane_headers"])
    header: Header = headers["FLAGS"].header.copy()
    header[f"HIERARCH MP_{UNCORRECTED}"] = (bit, "gain factor was not applied")
    return flags, headers | {"FLAGS": header}

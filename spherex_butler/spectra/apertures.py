"""Circular apertures, with the exact overlap of circle and pixels; by photutils (extra ``spectra``)."""

from __future__ import annotations

__all__ = ("aperture_weights",)

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError


def aperture_weights(shape: tuple[int, ...], x: float, y: float, radius: float) -> NDArray[np.float64]:
    """Return which part of each pixel is within a circle.

    Raises
    ------
    ConfigurationError
        Raised if photutils is not installed.
    """
    try:
        from photutils.aperture import CircularAperture  # noqa: PLC0415 - an extra that only apertures need
    except ImportError as error:
        raise ConfigurationError(
            "Apertures need photutils, which is not installed: pip install 'spherex-butler[spectra]'. The matched "
            "filter, which is the default, does without."
        ) from error
    weights = CircularAperture((x, y), radius).to_mask(method="exact").to_image(shape)
    return np.zeros(shape) if weights is None else np.asarray(weights, float)

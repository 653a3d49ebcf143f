"""A model of the noise: what the variance of a pixel would be if it held what is expected of it.

The VARIANCE of a pixel grows with what it measured. Weights of its inverse therefore prefer pixels that noise made
faint, and bias faint fluxes low. The model takes from VARIANCE only how it depends on brightness.
"""

from __future__ import annotations

__all__ = ("NoiseModel",)

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_BRIGHT = 5.0  # standard deviations above the background from which a pixel tells how variance grows


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Variance of a pixel without a source, (MJy/sr)^2, and by how much it grows with brightness, MJy/sr."""

    base: float
    slope: float

    @classmethod
    def of(
        cls,
        data: NDArray[np.floating],
        variance: NDArray[np.floating],
        free: NDArray[np.bool_],
        usable: NDArray[np.bool_],
    ) -> Self:
        """Return the model of an image: pixels ``free`` of sources tell the base, bright ones the slope.

        Without a bright pixel the slope is 0: sources that faint add next to nothing.
        """
        if not free.any():
            return cls(float(np.median(variance[usable])) if usable.any() else np.nan, 0.0)
        level, base = float(np.median(data[free])), float(np.median(variance[free]))
        bright = usable & (np.asarray(data, float) - level > _BRIGHT * np.sqrt(base))
        if not bright.any():
            return cls(base, 0.0)
        above, more = np.asarray(data, float)[bright] - level, np.asarray(variance, float)[bright] - base
        return cls(base, max(0.0, float(more.sum() / above.sum())))

    def variance(self, brightness: Numbers) -> Numbers:
        """Return the variance of pixels in which a source has this brightness, MJy/sr; negative ones count as 0."""
        return self.base + self.slope * np.clip(brightness, 0, None)

"""Which brightnesses a picture tells apart: faint sources and bright ones, whatever a few wild pixels have.

Around the middle of most pixels a picture is linear, and far above logarithmic: the inverse hyperbolic sine of
Lupton, Gunn and Szalay (1999), https://doi.org/10.1086/301004.
"""

from __future__ import annotations

__all__ = ("BrightnessRange",)

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_PERCENTILES = (0.5, 16, 84, 99.7)
_SAMPLE = 500_000  # pixels, by which percentiles are good to far less than the eye sees
_SOFTNESS = 2.0  # of half the width of most pixels


@dataclass(frozen=True, slots=True)
class BrightnessRange:
    """What is drawn black, what white, and up to how far above black a picture is linear.

    Parameters
    ----------
    low, high
        Of the pixels, in their unit.
    softening
        In the same unit.
    """

    low: float
    high: float
    softening: float

    @classmethod
    def of(cls, values: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> Self:
        """Return the range of an array, shape (rows, columns), without masked and infinite pixels and NaN.

        Where all are masked these count after all; where none is finite the range is from 0 to 1.
        """
        step = max(1, int(np.sqrt(values.size / _SAMPLE)))
        sample = np.asarray(values[::step, ::step], float)
        finite = np.isfinite(sample)
        good = finite if mask is None else finite & ~mask[::step, ::step]
        chosen = sample[good if good.any() else finite]
        if not chosen.size:
            return cls(0.0, 1.0, 1.0)
        low, below, above, high = (float(level) for level in np.percentile(chosen, _PERCENTILES))
        if not high > low:
            width = abs(low) * 0.01 or 1.0
            return cls(low - width, high + width, width)
        return cls(low, high, _SOFTNESS * (above - below) / 2 or (high - low) / 10)

    @property
    def softness(self) -> float:
        """The softening in units of the range."""
        return self.softening / (self.high - self.low)

    def scaled(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return values as brightness from 0, black, to 1, white; NaN stays."""
        limited = np.clip((np.asarray(values, float) - self.low) / (self.high - self.low), 0, 1)
        found: NDArray[np.float64] = np.arcsinh(limited / self.softness) / np.arcsinh(1 / self.softness)
        return found

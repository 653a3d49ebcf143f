"""The background of a source: a plane, fitted to the pixels around it without those that stand out."""

from __future__ import annotations

__all__ = ("Background", "fit_background")

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_FEWEST = 12  # pixels: four for each number of the plane
_CLIP = 3.0  # standard deviations
_ROUNDS = 10
_MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Background:
    """A plane of surface brightness over the image, in MJy/sr, and the covariance of its three numbers.

    These are the value at the source and the slopes along x and y; NaN where too few pixels could be used.
    """

    plane: Numbers
    value: float
    covariance: Numbers
    offsets: tuple[Numbers, Numbers]

    @property
    def error(self) -> float:
        """Standard deviation of the value at the source."""
        return float(np.sqrt(self.covariance[0, 0]))

    def variance_of(self, weights: Numbers, pixels: NDArray[np.bool_]) -> float:
        """Return the variance that the plane gives a weighted sum over some pixels."""
        shares = np.array([weights.sum(), *(weights @ offset[pixels] for offset in self.offsets)])
        return float(shares @ self.covariance @ shares)


def fit_background(data: NDArray[np.floating], free: NDArray[np.bool_], x: float, y: float) -> Background:
    """Return the background around a position, from the pixels that are free of sources.

    Pixels that differ from the plane by more than three standard deviations are left out, again and again until there
    are no more. The standard deviation is that of the pixels, by their median absolute deviation, so that faint sources
    that nobody knows of count as noise.
    """
    rows, columns = np.indices(data.shape, float)
    offsets = (columns - x, rows - y)
    values, kept = np.asarray(data, float), free.copy()
    numbers, covariance = np.full(3, np.nan), np.full((3, 3), np.nan)
    for _ in range(_ROUNDS):
        if kept.sum() < _FEWEST:
            numbers, covariance = np.full(3, np.nan), np.full((3, 3), np.nan)
            break
        design = np.stack([np.ones(int(kept.sum())), offsets[0][kept], offsets[1][kept]], axis=1)
        inverse = np.linalg.pinv(design.T @ design)
        numbers = inverse @ design.T @ values[kept]
        residuals = values - numbers[0] - numbers[1] * offsets[0] - numbers[2] * offsets[1]
        scatter = _MAD_TO_SIGMA * float(np.median(np.abs(residuals[kept])))
        covariance = scatter**2 * inverse
        clipped = free & (np.abs(residuals) <= _CLIP * scatter)
        if (clipped == kept).all():
            break
        kept = clipped
    plane = numbers[0] + numbers[1] * offsets[0] + numbers[2] * offsets[1]
    return Background(plane, float(numbers[0]), covariance, offsets)

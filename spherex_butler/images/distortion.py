"""The distortion of a detector's optics as SIP polynomials (Shupe et al. 2005, ASP Conf. Ser. 347, 491)."""

from __future__ import annotations

__all__ = ("Distortion",)

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from astropy.wcs import WCS
from numpy.polynomial.polynomial import polyval2d
from numpy.typing import NDArray

from ..constants import FULL_FRAME

Pixels = NDArray[np.float64]

_ITERATIONS = 6  # each leaves a hundredth of the error of that before
_LARGEST = 100  # pixels; the real ones move a corner by 14


@dataclass(frozen=True, slots=True, eq=False)
class Distortion:
    """The SIP polynomials of a detector.

    Parameters
    ----------
    reference
        0-based full-frame pixel (x, y) from which they count.
    a, b
        Coefficients for x and y: square matrices, by powers of x and y.
    """

    reference: tuple[float, float]
    a: NDArray[np.float64]
    b: NDArray[np.float64]

    @classmethod
    def of_wcs(cls, wcs: WCS | None, origin: tuple[int, int]) -> Self | None:
        """Return the distortion in a celestial WCS; `None` if it has none, or one that no detector has.

        Parameters
        ----------
        wcs
            Of an image or of a part of one.
        origin
            The full-frame pixel (x, y) of the image's first pixel.
        """
        if wcs is None or wcs.sip is None or not all("-TAN" in name for name in wcs.wcs.ctype):
            return None
        if wcs.sip.a is None or wcs.sip.b is None:
            return None
        x, y = (float(pixel) - 1 + first for pixel, first in zip(wcs.sip.crpix, origin, strict=True))
        found = cls((x, y), np.array(wcs.sip.a), np.array(wcs.sip.b))
        return found if found._is_plausible else None

    @classmethod
    def of_numbers(cls, numbers: dict[str, Any]) -> Self:
        """Return the distortion that `numbers` wrote."""
        x, y = numbers["crpix"]
        return cls((float(x) - 1, float(y) - 1), *(np.array(numbers[name], float) for name in ("a", "b")))

    def numbers(self) -> dict[str, Any]:
        """Return the numbers as FITS headers have them: ``crpix`` counts from 1."""
        return {"crpix": [value + 1 for value in self.reference], "a": self.a.tolist(), "b": self.b.tolist()}

    def removed(self, x: Pixels, y: Pixels) -> tuple[Pixels, Pixels]:
        """Return where pixels would be without distortion."""
        u, v = x - self.reference[0], y - self.reference[1]
        return x + polyval2d(u, v, self.a), y + polyval2d(u, v, self.b)

    def applied(self, x: Pixels, y: Pixels) -> tuple[Pixels, Pixels]:
        """Return the pixels of what would be at (x, y) without distortion."""
        px, py = x, y
        for _ in range(_ITERATIONS):
            fx, fy = self.removed(px, py)
            px, py = px + (x - fx), py + (y - fy)
        return px, py

    @property
    def _is_plausible(self) -> bool:
        edge = np.linspace(0, FULL_FRAME - 1, 9)
        x, y = (axis.ravel() for axis in np.meshgrid(edge, edge))
        moved = np.hypot(*(there - here for there, here in zip(self.removed(x, y), (x, y), strict=True)))
        return bool((moved < _LARGEST).all())  # which NaN is not

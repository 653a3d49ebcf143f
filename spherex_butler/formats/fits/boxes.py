"""Rectangles of pixels.

A box is half-open and 0-based, ``x`` being the fast (second) array axis, as in
FITS.  Boxes of a SPHEREx image are in pixels of the full 2040 x 2040 frame.
"""

from __future__ import annotations

__all__ = ("Box",)

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ParameterError


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open rectangle of at least one pixel, ``x_min <= x < x_max``."""

    x_min: int
    x_max: int
    y_min: int
    y_max: int

    def __post_init__(self) -> None:
        if self.x_max <= self.x_min or self.y_max <= self.y_min:
            raise ParameterError(f"{self} holds no pixel: each maximum must be above its minimum.")

    def __str__(self) -> str:
        return f"box [x {self.x_min}:{self.x_max}, y {self.y_min}:{self.y_max}]"

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape, ``(rows, columns)``."""
        return self.y_max - self.y_min, self.x_max - self.x_min

    @property
    def size(self) -> int:
        """How many pixels it holds."""
        return self.shape[0] * self.shape[1]

    @property
    def slices(self) -> tuple[slice, slice]:
        """Array index of the box, ``(rows, columns)``."""
        return slice(self.y_min, self.y_max), slice(self.x_min, self.x_max)

    def shifted(self, dx: int, dy: int) -> Box:
        """Return the box moved by ``dx`` columns and ``dy`` rows."""
        return Box(self.x_min + dx, self.x_max + dx, self.y_min + dy, self.y_max + dy)

    def clipped(self, bounds: Box) -> Box | None:
        """Return the part of the box within ``bounds``, or `None` if all of it is outside."""
        x_min, x_max = max(self.x_min, bounds.x_min), min(self.x_max, bounds.x_max)
        y_min, y_max = max(self.y_min, bounds.y_min), min(self.y_max, bounds.y_max)
        return Box(x_min, x_max, y_min, y_max) if x_min < x_max and y_min < y_max else None

    @classmethod
    def of_shape(cls, shape: Sequence[int], origin: Sequence[int] = (0, 0)) -> Box:
        """Return the box of an array of ``shape`` whose first pixel is at ``origin`` (x, y)."""
        x, y = origin
        return cls(x, x + shape[-1], y, y + shape[-2])

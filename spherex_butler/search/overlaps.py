"""The pixel that is nearest the centre of a circle or region, of those in both that see some wavelengths.

An image is halved in x and y again and again, down to its pixels. A block is given up where no pixel of it can see the
wavelengths, or be in the region, or be nearer than one that was found. Blocks of many images are looked at together.
"""

from __future__ import annotations

__all__ = ("Overlaps", "Sighted", "Sought")

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..constants import FULL_FRAME
from ..images.wavelengths import WavelengthTable
from .frames import are_full_frames
from .regions import Vectors, separations, unrepeated
from .shapes import Part
from .wavelengths import WavelengthRange

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]

_LEVELS = 11  # 2**11 is the first power of two above the frame
_COARSEST, _FINEST = _LEVELS, 3  # blocks between whose sizes it is known beforehand what they may see
_BLOCKS = 1 << (_LEVELS - _FINEST)
_RADIANS = np.radians(7 / 3600)  # of a pixel at most; real ones have 6.2 arcsec
_AT_ONCE = 4096  # images


class Frames(Protocol):
    """The sky that images see."""

    def directions_in(self, images: NDArray[np.intp], x: Numbers, y: Numbers) -> Vectors:
        """Return the directions of pixels, each in one of the images."""


class Sighted:
    """Where on a detector some wavelengths are seen.

    Parameters
    ----------
    table
        The control points.
    wanted
        The wavelengths, `None` for any.
    """

    def __init__(self, table: WavelengthTable, wanted: WavelengthRange | None) -> None:
        self._table = table
        self._wanted = wanted
        self._blocks: dict[int, NDArray[np.bool_]] = {_FINEST: np.ones((_BLOCKS, _BLOCKS), bool)}
        if wanted is not None:
            blocks = self._blocks[_FINEST]
            blocks[:] = False
            seen = _finest_blocks(table, wanted)
            blocks[: len(seen), : len(seen)] = seen
        for level in range(_FINEST + 1, _COARSEST + 1):
            finer = self._blocks[level - 1]
            halves = len(finer) // 2
            self._blocks[level] = np.asarray(finer.reshape(halves, 2, halves, 2).any(axis=(1, 3)))

    @property
    def anywhere(self) -> bool:
        """Whether any pixel may see them."""
        return bool(self._blocks[_COARSEST][0, 0])

    def may_be_in(self, level: int, column: Integers, row: Integers) -> NDArray[np.bool_]:
        """Return in which blocks, of ``2**level`` pixels a side, they may be seen."""
        return self._blocks[level][row, column] if level in self._blocks else np.ones(len(row), bool)

    def at(self, x: Numbers, y: Numbers) -> NDArray[np.bool_]:
        """Return at which pixels they are seen."""
        if self._wanted is None:
            return np.ones(len(x), bool)
        return self._wanted.meets(*self._table.interpolated(x, y))


def _finest_blocks(table: WavelengthTable, wanted: WavelengthRange) -> NDArray[np.bool_]:
    """Return in which blocks of the smallest size the wavelengths may be seen.

    What is linear in x and in y has its extremes at the corners: those of blocks, and of the cells of control points.
    """
    edges = np.arange(0, FULL_FRAME + 1, 1 << _FINEST, dtype=float)
    (x, columns), (y, rows) = (_knots(edges, control) for control in (table.x, table.y))
    wavelength, bandwidth = table.interpolated(*np.meshgrid(x, y))
    half = wanted.half_of(bandwidth)
    shortest, longest = -_cell_maxima(half - wavelength, rows, columns), _cell_maxima(wavelength + half, rows, columns)
    return np.asarray((shortest <= wanted.longest) & (longest >= wanted.shortest))


def _knots(edges: Numbers, control: NDArray[np.float64]) -> tuple[Numbers, NDArray[np.intp]]:
    """Return edges and control points together, 0-based and ascending, and where among them each block begins."""
    inside = control[(control > 1) & (control < FULL_FRAME + 1)] - 1.0
    knots = np.unique(np.concatenate([edges, inside]))
    return knots, np.searchsorted(knots, edges[:-1])


def _cell_maxima(values: Numbers, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Numbers:
    """Return the largest of values at the corners of cells, in blocks that begin with some of the cells."""
    along = np.maximum(values[:-1], values[1:])
    cells = np.maximum(along[:, :-1], along[:, 1:])
    return np.asarray(np.maximum.reduceat(np.maximum.reduceat(cells, rows, axis=0), columns, axis=1))


@dataclass(slots=True, eq=False)
class _Nearest:
    """The nearest pixel of each image that was found so far; without one it is NaN, and as far as infinity."""

    x: Numbers
    y: Numbers
    distance: Numbers

    @classmethod
    def of(cls, number: int) -> _Nearest:
        return cls(np.full(number, np.nan), np.full(number, np.nan), np.full(number, np.inf))

    def take(self, images: NDArray[np.intp], x: Numbers, y: Numbers, distance: Numbers) -> None:
        """Take in pixels, if they are nearer."""
        order = np.lexsort([distance, images])
        unique, first = np.unique(images[order], return_index=True)
        chosen = order[first]
        nearer = distance[chosen] < self.distance[unique]
        unique, chosen = unique[nearer], chosen[nearer]
        self.x[unique], self.y[unique], self.distance[unique] = x[chosen], y[chosen], distance[chosen]


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """What images of one detector have in common with a part of the sky.

    Parameters
    ----------
    frames
        The sky that the images see.
    sighted
        Where on the detector the wavelengths are seen.
    part
        The part of the sky that counts.
    centers
        Of this part, for each image; shape (n, 3).
    """

    frames: Frames
    sighted: Sighted
    part: Part
    centers: Vectors

    def nearest_pixels(self) -> tuple[Numbers, Numbers]:
        """Return the pixel of each image that is nearest its centre, of those in the part that see the wavelengths.

        Pixels are 0-based ones of the full frame, by their middles; NaN of images without one.
        """
        found = _Nearest.of(len(self.centers))
        for begin in range(0, len(self.centers), _AT_ONCE):
            self._search(np.arange(begin, min(begin + _AT_ONCE, len(self.centers))), found)
        return found.x, found.y

    def _search(self, images: NDArray[np.intp], found: _Nearest) -> None:
        column, row = np.zeros(len(images), np.int64), np.zeros(len(images), np.int64)
        for level in range(_LEVELS, -1, -1):
            size = 1 << level
            kept = (column * size < FULL_FRAME) & (row * size < FULL_FRAME)
            kept[kept] = self.sighted.may_be_in(level, column[kept], row[kept])
            images, column, row = images[kept], column[kept], row[kept]
            x, y = (np.minimum(first * size + size // 2, FULL_FRAME - 1).astype(float) for first in (column, row))
            points = self.frames.directions_in(images, x, y)
            distances = separations(points, self.centers[images])
            hit = np.flatnonzero((distances < found.distance[images]) & self.part.holds(points, distances))
            hit = hit[self.sighted.at(x[hit], y[hit])]
            found.take(images[hit], x[hit], y[hit], distances[hit])
            reach = _RADIANS * (size // 2) * np.sqrt(2)
            kept = (distances - reach < found.distance[images]) & self.part.may_hold(points, distances, reach)
            images, column, row = (np.repeat(some[kept], 4) for some in (images, column, row))
            halves = np.tile(np.arange(4), len(images) // 4)
            column, row = 2 * column + halves % 2, 2 * row + halves // 2


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """What a search in a part of the sky looks for in each of its rows.

    Parameters
    ----------
    part
        The part of the sky.
    centers
        Of this part, for each row; shape (n, 3).
    corners
        The region of each image; shape (n, corners, 3).
    """

    part: Part
    centers: Vectors
    corners: Vectors

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Sought:
        """Return some of the rows."""
        return Sought(self.part, self.centers[chosen], self.corners[chosen])

    def hold(self, directions: Vectors) -> NDArray[np.bool_]:
        """Return which rows' directions are in the part of the sky."""
        return self.part.holds(directions, separations(directions, self.centers))

    def nearest_pixels(self, rows: NDArray[np.intp], frames: Frames, sighted: Sighted) -> tuple[Numbers, Numbers]:
        """Return the nearest pixels of images of one detector, in some rows; see `Overlaps`."""
        return Overlaps(frames, sighted, self.part, self.centers[rows]).nearest_pixels()

    def nearest_pixel(self, row: int, frame: Frames, sighted: Sighted) -> tuple[Numbers, Numbers]:
        """Return the nearest pixel of one image, also if it is a cutout."""
        corners = self.corners[row]
        part = self.part if are_full_frames(corners[np.newaxis])[0] else self.part.within(unrepeated(corners))
        x, y = Overlaps(frame, sighted, part, self.centers[row : row + 1]).nearest_pixels()
        return x[0], y[0]

"""Parts of the sky that are held against many points at once: circles, other regions, and cells."""

from __future__ import annotations

__all__ = ("Part", "part_of")

from dataclasses import dataclass, replace
from typing import Protocol

import hpgeom
import numpy as np
from lsst.sphgeom import Angle, Box, Circle, ConvexPolygon, Ellipse, Region
from numpy.typing import NDArray

from .regions import MARGIN, Vectors, unit_vectors
from .targets import Area, Cells, Fixed, Targets

Truths = NDArray[np.bool_]

_COARSE = 4
"""Pixels of HEALPix are so many times as wide as a circle that one of them and its neighbours certainly hold."""


class _Shape(Protocol):
    def holds(self, points: Vectors) -> Truths:
        """Return which points are in the shape."""

    def may_hold(self, points: Vectors, reach: float) -> Truths:
        """Return which points are so many radians from the shape or less; points a little farther may be among them."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The parts of the sky that are searched, each around its centre.

    Parameters
    ----------
    centers
        Shape (parts, 3).
    radius
        Radians around the centres that nothing is beyond.
    shape
        What it is apart from a circle; then there is one centre.
    """

    centers: Vectors
    radius: float
    shape: _Shape | None = None

    def holds(self, points: Vectors, distances: NDArray[np.float64]) -> Truths:
        """Return which points, given with their distances from the centre in radians, are in the part."""
        near = distances <= self.radius + MARGIN
        return near if self.shape is None else near & self.shape.holds(points)

    def may_hold(self, points: Vectors, distances: NDArray[np.float64], reach: float) -> Truths:
        """Return for which points there may be one in the part that is ``reach`` radians from it or less."""
        near = distances <= self.radius + reach + MARGIN
        return near if self.shape is None else near & self.shape.may_hold(points, reach)

    def within(self, corners: Vectors) -> Part:
        """Return what a convex polygon, shape (corners, 3), holds of the part."""
        polygon = _Polygon.of(corners)
        return replace(self, shape=polygon if self.shape is None else _Both(self.shape, polygon))


def part_of(targets: Targets) -> Part | None:
    """Return the parts of the sky that are searched, `None` of positions without a circle."""
    match targets:
        case Fixed() if targets.radius:
            return Part(targets.directions, targets.radius)
        case Area():
            return _part_of_region(targets.region)
        case Cells() if len(targets.cells):
            return _part_of_cells(targets)
    return None


def _part_of_region(region: Region) -> Part:
    circle = region.getBoundingCircle()
    center = np.array([list(circle.getCenter())], float)
    shape: _Shape | None = None
    if isinstance(region, ConvexPolygon):
        shape = _Polygon.of(np.array([list(corner) for corner in region.getVertices()], float))
    elif not isinstance(region, Circle):
        shape = _Region(region)
    return Part(center, circle.getOpeningAngle().asRadians(), shape)


def _part_of_cells(area: Cells) -> Part:
    directions = np.stack(hpgeom.pixel_to_vector(1 << area.order, area.cells, nest=True), axis=-1)
    return Part(unit_vectors(directions.sum(axis=0, keepdims=True)), np.pi, _CellSet(area.order, np.sort(area.cells)))


@dataclass(frozen=True, slots=True, eq=False)
class _Polygon:
    """A convex polygon, by the normals of its edges, which point inwards."""

    normals: Vectors

    @classmethod
    def of(cls, corners: Vectors) -> _Polygon:
        return cls(unit_vectors(np.cross(corners, np.roll(corners, -1, axis=0))))

    def holds(self, points: Vectors) -> Truths:
        return self.may_hold(points, 0)

    def may_hold(self, points: Vectors, reach: float) -> Truths:
        least = -np.sin(min(reach, np.pi / 2))
        return np.asarray((points @ self.normals.T >= least).all(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """A region of `lsst.sphgeom` that says itself what it holds: a box or an ellipse."""

    region: Region

    def holds(self, points: Vectors) -> Truths:
        return _held(self.region, points)

    def may_hold(self, points: Vectors, reach: float) -> Truths:
        match self.region:
            case Box():
                return _held(self.region.dilatedBy(Angle(reach)), points)
            case Ellipse() if self.region.getAlpha().asRadians() + reach < np.pi / 2:
                foci = self.region.getF1(), self.region.getF2()
                return _held(Ellipse(*foci, self.region.getAlpha() + Angle(reach)), points)
        return np.ones(len(points), bool)


def _held(region: Region, points: Vectors) -> Truths:
    return np.asarray(region.contains(*np.ascontiguousarray(points.T)), bool)


@dataclass(frozen=True, slots=True, eq=False)
class _CellSet:
    """HEALPix cells, nested, of one order, ascending."""

    order: int
    cells: NDArray[np.int64]

    def holds(self, points: Vectors) -> Truths:
        return np.isin(hpgeom.vector_to_pixel(1 << self.order, *points.T, nest=True), self.cells)

    def may_hold(self, points: Vectors, reach: float) -> Truths:
        widths = np.sqrt(np.pi / 3) / (1 << np.arange(self.order + 1))
        order = int(np.count_nonzero(widths >= _COARSE * reach)) - 1
        if order < 0:
            return np.ones(len(points), bool)
        coarse = np.unique(self.cells >> 2 * (self.order - order))
        own = hpgeom.vector_to_pixel(1 << order, *points.T, nest=True)
        around = hpgeom.neighbors(1 << order, own, nest=True)
        return np.asarray(np.isin(own, coarse) | np.isin(around, coarse).any(axis=-1))


@dataclass(frozen=True, slots=True, eq=False)
class _Both:
    """What two shapes have in common."""

    first: _Shape
    second: _Shape

    def holds(self, points: Vectors) -> Truths:
        return self.first.holds(points) & self.second.holds(points)

    def may_hold(self, points: Vectors, reach: float) -> Truths:
        return self.first.may_hold(points, reach) & self.second.may_hold(points, reach)

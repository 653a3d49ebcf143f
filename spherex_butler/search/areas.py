"""Which images a region of the sky overlaps, exactly: `lsst.sphgeom` leaves it open for many ellipses and boxes."""

from __future__ import annotations

__all__ = ("area_pixels", "overlapping")

from collections.abc import Iterator

import numpy as np
from lsst.sphgeom import Box, ConvexPolygon, Ellipse, LonLat, PixelizationABC, Region, UnitVector3d
from numpy.typing import NDArray

from ..repository.exposures import sky_pixels
from .regions import MARGIN, Vectors, contains, edges, nearest_points, unit_vectors


def area_pixels(pixelization: PixelizationABC, area: Region) -> list[int]:
    """Return the pixels of the sky that a region may overlap."""
    if isinstance(area, Box) and (area.getLon().isFull() or not area.getArea()):
        return sky_pixels(pixelization, area.getBoundingCircle())  # of such a box, sphgeom finds none
    return sky_pixels(pixelization, area)


def overlapping(corners: Vectors, area: Region) -> NDArray[np.bool_]:
    """Return which convex polygons, shape (n, corners, 3), a region overlaps."""
    match area:
        case Box():
            return _by_box(corners, area)
        case Ellipse():
            return _by_ellipse(corners, area)
        case _:
            polygons = (ConvexPolygon([UnitVector3d(*corner) for corner in some]) for some in corners)
            return np.array([area.overlaps(polygon) is True for polygon in polygons], bool)


def _by_ellipse(corners: Vectors, ellipse: Ellipse) -> NDArray[np.bool_]:
    """Return which polygons an ellipse overlaps.

    It is the cone over an ellipse in the plane that touches the sphere at its centre. What stretches that to a circle
    of 45 degrees takes great circles to great circles, and so polygons to polygons.
    """
    half = max(ellipse.getAlpha().asRadians(), ellipse.getBeta().asRadians())
    if half >= np.pi / 2:  # all around is convex: a polygon without a corner in the ellipse lies there
        points = np.ascontiguousarray(corners.reshape(-1, 3).T)
        return np.asarray(np.reshape(ellipse.contains(*points), corners.shape[:2]).any(axis=1))
    axes = np.array([ellipse.getAlpha().asRadians(), ellipse.getBeta().asRadians(), np.pi / 4])
    own = np.array(ellipse.getTransformMatrix())  # of which the first axis is that of alpha, and the last the centre
    stretched = unit_vectors(corners @ (own / np.tan(axes)[:, np.newaxis]).T)
    nearest = nearest_points(stretched, np.broadcast_to([0.0, 0.0, 1.0], (len(corners), 3)))
    holds_center = contains(corners, np.broadcast_to(own[2], (len(corners), 3)))
    return np.asarray(holds_center | (nearest[:, 2] >= np.cos(np.pi / 4 + MARGIN)))


def _by_box(corners: Vectors, box: Box) -> NDArray[np.bool_]:
    """Return which polygons a box overlaps.

    Where they do, a corner of the polygon is in the box, or one of the box in the polygon, or an edge of the polygon
    crosses the box's border, which lies in four planes.
    """
    found = np.zeros(len(corners), bool)
    for points in (*np.moveaxis(corners, 1, 0), *_crossings(corners, box)):
        found |= _in_box(points, box)
    for corner in _corners_of(box):
        found |= contains(corners, np.broadcast_to(corner, (len(corners), 3)))
    return found


def _corners_of(box: Box) -> Iterator[Vectors]:
    for lon in (box.getLon().getA(), box.getLon().getB()):
        for lat in (box.getLat().getA(), box.getLat().getB()):
            yield np.array(list(UnitVector3d(LonLat(lon, lat))), float)


def _planes_of(box: Box) -> Iterator[tuple[Vectors, float]]:
    """Yield the planes that a box's border lies in: normals, and distances from the middle of the sphere."""
    for lat in (box.getLat().getA(), box.getLat().getB()):
        yield np.array([0.0, 0.0, 1.0]), np.sin(lat.asRadians())
    for lon in (box.getLon().getA().asRadians(), box.getLon().getB().asRadians()):
        yield np.array([-np.sin(lon), np.cos(lon), 0.0]), 0.0


def _crossings(corners: Vectors, box: Box) -> Iterator[Vectors]:
    """Yield where edges of polygons cross the planes of a box's border, shape (n, 3), NaN where they do not."""
    for begin, end in edges(corners):
        normals = np.cross(begin, end)
        with np.errstate(invalid="ignore"):  # of corners that are repeated, which have no edge between
            along = unit_vectors(np.cross(normals, begin))
        length = np.arctan2(np.linalg.norm(normals, axis=1), np.einsum("ij,ij->i", begin, end))
        for normal, height in _planes_of(box):
            first, second = begin @ normal, along @ normal
            with np.errstate(invalid="ignore", divide="ignore"):  # of edges that do not reach the plane, or lie in it
                turn = np.arccos(height / np.hypot(first, second))
            for sign in (-1, 1):
                angle = (np.arctan2(second, first) + sign * turn) % (2 * np.pi)
                angle = np.where(angle <= length, angle, np.nan)[:, np.newaxis]
                yield begin * np.cos(angle) + along * np.sin(angle)


def _in_box(points: Vectors, box: Box) -> NDArray[np.bool_]:
    """Return which points, shape (n, 3), are in a box or within rounding of it; NaN is nowhere."""
    x, y, z = points.T
    across = np.hypot(x, y)
    slack = np.minimum(MARGIN / np.maximum(across, MARGIN), np.pi)
    west, width = box.getLon().getA().asRadians(), box.getLon().getSize().asRadians()
    south, north = box.getLat().getA().asRadians(), box.getLat().getB().asRadians()
    lat = np.arctan2(z, across)
    between = (np.arctan2(y, x) - west + slack) % (2 * np.pi) <= width + 2 * slack
    return np.asarray(between & (lat >= south - MARGIN) & (lat <= north + MARGIN))

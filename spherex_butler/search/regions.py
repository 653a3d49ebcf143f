"""Regions of images on the sky as arrays, so that thousands are read and asked for a position at once."""

from __future__ import annotations

__all__ = (
    "MARGIN",
    "Regions",
    "Vectors",
    "circles",
    "contains",
    "edges",
    "have_four_corners",
    "nearest_points",
    "polygons",
    "require_finite",
    "separations",
    "unit_vectors",
    "unrepeated",
    "vectors_of",
)

import logging
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, UnitSphericalRepresentation
from lsst.sphgeom import ConvexPolygon, Region
from numpy.typing import NDArray

from ..errors import ParameterError
from ..images.positions import as_seen
from .joined_texts import SEPARATOR, integers

Vectors: TypeAlias = NDArray[np.float64]
"""Directions as unit vectors, ICRS, in the last axis."""

_CORNERS = 4
_BYTES = 1 + _CORNERS * 3 * 8  # what ConvexPolygon.encode writes of four corners: a letter, and x, y, z of each
_CHARACTERS = -(-_BYTES // 3) * 4  # in base64, as the registry stores it

MARGIN = 1e-9
"""Radians, for what is rounded."""

_SAID = 5  # of rows that are wrong

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Regions:
    """Images and their regions, which are convex polygons.

    Parameters
    ----------
    exposures, detectors
        Of which image each is; shape (n,).
    corners
        Shape (n, corners, 3), counter-clockwise as seen from outside the sphere. Polygons with fewer corners than
        others repeat their last.
    """

    exposures: NDArray[np.int64]
    detectors: NDArray[np.int64]
    corners: Vectors

    def __len__(self) -> int:
        return len(self.exposures)

    @classmethod
    def joined(cls, parts: Sequence[Regions]) -> Regions:
        """Return several as one."""
        most = max((part.corners.shape[1] for part in parts), default=_CORNERS)
        nothing = cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, most, 3)))
        every = [nothing, *parts]
        return cls(
            np.concatenate([part.exposures for part in every]),
            np.concatenate([part.detectors for part in every]),
            np.concatenate([_with_corners(part.corners, most) for part in every]),
        )

    @classmethod
    def decoded(cls, detector: int, exposures: str, regions: str) -> Regions:
        """Return those of one detector from the registry's values, joined by commas."""
        numbers = integers(exposures)
        if len(regions) == (_CHARACTERS + 1) * len(numbers) - 1:
            corners = _four_corners(regions, len(numbers))
        else:
            found = dict(_polygons(regions))
            numbers = numbers[list(found)]
            most = max(map(len, found.values()), default=_CORNERS)
            polygons = [_with_corners(polygon[np.newaxis], most) for polygon in found.values()]
            corners = np.concatenate([np.zeros((0, most, 3)), *polygons])
        return cls(numbers, np.full(len(numbers), detector, np.int64), corners)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Regions:
        """Return some of them."""
        return Regions(self.exposures[chosen], self.detectors[chosen], self.corners[chosen])


def polygons(regions: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
    """Yield the corners of those of several regions that are polygons, as the registry stores each.

    They come with their places in the sequence; those with the same number of corners at once.
    """
    four = [place for place, text in enumerate(regions) if len(text) == _CHARACTERS]
    if four:
        yield four, _four_corners(SEPARATOR.join(regions[place] for place in four), len(four))
    others = sorted(set(range(len(regions))) - set(four))
    found = dict(_polygons(SEPARATOR.join(regions[place] for place in others))) if others else {}
    for number in sorted({len(corners) for corners in found.values()}):
        some = [place for place, corners in found.items() if len(corners) == number]
        yield [others[place] for place in some], np.stack([found[place] for place in some])


def _four_corners(regions: str, number: int) -> Vectors:
    characters = np.frombuffer(f"{regions}{SEPARATOR}".encode(), np.uint8).reshape(number, -1)[:, :_CHARACTERS]
    # Padding ends what b64decode reads; as bits of nothing it lets it read all at once.
    rows = np.frombuffer(b64decode(characters.tobytes().replace(b"=", b"A")), np.uint8).reshape(number, -1)
    return np.ascontiguousarray(rows[:, 1:_BYTES]).view("<f8").astype(float).reshape(number, _CORNERS, 3)


def _polygons(regions: str) -> Iterator[tuple[int, Vectors]]:
    """Yield the corners of those regions that are polygons, by their places in the text."""
    for place, text in enumerate(regions.split(SEPARATOR)):
        region = Region.decodeBase64(text)
        if isinstance(region, ConvexPolygon):
            yield place, np.array([list(corner) for corner in region.getVertices()], float)
        else:
            _log.warning("A region is a %s and left out of the search; expected a polygon.", type(region).__name__)


def _with_corners(corners: Vectors, number: int) -> Vectors:
    return np.concatenate([corners, np.repeat(corners[:, -1:], number - corners.shape[1], axis=1)], axis=1)


def vectors_of(position: SkyCoord) -> Vectors:
    """Return the directions of positions, whatever their distances, NaN for masked ones; shape (…, 3)."""
    found = as_seen(position).spherical
    directions = UnitSphericalRepresentation(found.lon, found.lat)
    return np.moveaxis(directions.to_cartesian().xyz.to_value(u.one), 0, -1)


def require_finite(directions: Vectors) -> None:
    """Raise `ParameterError` if there are directions, shape (…, 3), that are not finite."""
    known = np.isfinite(directions).all(axis=-1)
    if unknown := np.count_nonzero(~known):
        if known.size == 1:
            raise ParameterError("The position is not finite, or masked; expected a right ascension and a declination.")
        first = ", ".join(map(str, np.flatnonzero(~known)[:_SAID])) + (", …" if unknown > _SAID else "")
        raise ParameterError(
            f"{unknown} of {known.size} positions are not finite, or masked: {first} (from 0). Leave them out."
        )


def unit_vectors(vectors: Vectors) -> Vectors:
    """Return vectors of length 1 in the same directions."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def have_four_corners(corners: Vectors) -> NDArray[np.bool_]:
    """Return which polygons have four corners, as the regions of images have."""
    if corners.shape[1] < _CORNERS:
        return np.zeros(len(corners), bool)
    last = corners[:, _CORNERS - 1 : _CORNERS]
    found = (last[:, 0] != corners[:, _CORNERS - 2]).any(axis=1)
    return np.asarray(found & (corners[:, _CORNERS:] == last).all(axis=(1, 2)))


def unrepeated(corners: Vectors) -> Vectors:
    """Return the corners of one polygon, shape (corners, 3), without the last one's repetitions."""
    return corners[: 1 + np.count_nonzero((np.diff(corners, axis=0) != 0).any(axis=1))]


def separations(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    """Return the angles between directions in radians, small ones as exactly as large ones."""
    return np.asarray(2 * np.arcsin(np.minimum(np.linalg.norm(first - second, axis=-1) / 2, 1)), float)


def circles(corners: Vectors) -> tuple[Vectors, NDArray[np.float64]]:
    """Return the centres of circles around polygons, and their radii with a margin."""
    centers = unit_vectors(corners.sum(axis=1))
    chords = np.linalg.norm(corners - centers[:, np.newaxis], axis=2).max(axis=1, initial=0)
    return centers, 2 * np.arcsin(np.minimum(chords / 2, 1)) + MARGIN


def contains(corners: Vectors, points: Vectors) -> NDArray[np.bool_]:
    """Return which polygons, shape (n, corners, 3), contain their point, shape (n, 3); NaN is nowhere."""
    inside = np.asarray(np.isfinite(points).all(axis=1))
    for begin, end in edges(corners):
        inside &= np.einsum("ij,ij->i", np.cross(begin, end), points) >= 0
    return inside


def nearest_points(corners: Vectors, points: Vectors) -> Vectors:
    """Return the point of each polygon, shape (n, corners, 3), that is nearest a point, shape (n, 3), outside it."""
    best, cosine = corners[:, 0], np.full(len(corners), -np.inf)
    for begin, end in edges(corners):
        candidate = _nearest_of_edge(begin, end, points)
        found = np.einsum("ij,ij->i", candidate, points)
        nearer = found > cosine
        best = np.where(nearer[:, np.newaxis], candidate, best)
        cosine = np.where(nearer, found, cosine)
    return best


def edges(corners: Vectors) -> Iterator[tuple[Vectors, Vectors]]:
    """Yield the ends of all first edges, of all second ones, and so on."""
    yield from zip(np.moveaxis(corners, 1, 0), np.moveaxis(np.roll(corners, -1, axis=1), 1, 0), strict=True)


def _nearest_of_edge(begin: Vectors, end: Vectors, points: Vectors) -> Vectors:
    """Return the point of each edge that is nearest a point: its foot on the great circle, or else an end."""
    normals = np.cross(begin, end)
    squares = np.einsum("ij,ij->i", normals, normals)
    height = np.einsum("ij,ij->i", points, normals) / np.where(squares > 0, squares, 1)
    foot = points - height[:, np.newaxis] * normals
    foot /= np.maximum(np.linalg.norm(foot, axis=1), np.finfo(float).tiny)[:, np.newaxis]
    between = np.einsum("ij,ij->i", np.cross(begin, foot), normals) >= 0
    between &= np.einsum("ij,ij->i", np.cross(foot, end), normals) >= 0
    between &= squares > 0
    nearer_end = np.einsum("ij,ij->i", end, points) > np.einsum("ij,ij->i", begin, points)
    ends = np.where(nearer_end[:, np.newaxis], end, begin)
    return np.where(between[:, np.newaxis], foot, ends)

"""Which regions hold which targets."""

from __future__ import annotations

__all__ = ("Matches", "find_matches")

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import hpgeom
import numpy as np
from lsst.daf.butler import Butler
from lsst.sphgeom import Angle, Circle, ConvexPolygon, HealpixPixelization, PixelizationABC, Region, UnitVector3d
from numpy.typing import NDArray

from ..repository.butler_internals import ImageTables
from .candidates import Chosen, ExposureTimes, all_regions, exposure_times, regions_by_pixel
from .motion import Motion
from .regions import Regions, Vectors, circles, contains, nearest_points
from .targets import Area, Fixed, Moving, Targets

_MANY_PIXELS = 300
"""Pixels of the sky from which on it takes less to read every region once than those of each pixel."""

_MARGIN = 1e-9  # radians, for what is rounded

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Targets and images that hold them, a row for each pair.

    Parameters
    ----------
    sources
        The number of each target.
    images
        Each image and its region.
    directions
        The position that is in the image, or the point of the image that is nearest to it, shape (n, 3).
    """

    sources: Indices
    images: Regions
    directions: Vectors

    def __len__(self) -> int:
        return len(self.sources)

    def where(self, chosen: NDArray[np.bool_] | Indices) -> Matches:
        """Return some of them."""
        return Matches(self.sources[chosen], self.images.where(chosen), self.directions[chosen])

    @classmethod
    def joined(cls, parts: list[Matches]) -> Matches:
        """Return several as one, each pair once."""
        sources = np.concatenate([np.zeros(0, np.intp), *(part.sources for part in parts)])
        images = Regions.joined([part.images for part in parts])
        directions = np.concatenate([np.zeros((0, 3)), *(part.directions for part in parts)])
        keys = np.stack([sources, images.exposures, images.detectors])
        _, first = np.unique(keys, axis=1, return_index=True)
        return cls(sources, images, directions).where(np.sort(first))


def find_matches(butler: Butler, tables: ImageTables, targets: Targets, chosen: Chosen) -> Matches:
    """Return which of the chosen images hold which targets, in no particular order."""
    match targets:
        case Fixed():
            found = _of_fixed(butler, tables, targets, chosen)
        case Moving():
            found = _of_moving(butler, tables, targets, chosen)
        case Area():
            found = _of_area(butler, tables, targets.region, chosen)
    return Matches.joined(list(found))


# Positions that stay.


def _of_fixed(butler: Butler, tables: ImageTables, targets: Fixed, chosen: Chosen) -> Iterator[Matches]:
    pixelization = butler.dimensions.commonSkyPix.pixelization
    by_pixel: defaultdict[int, list[int]] = defaultdict(list)
    for number, direction in enumerate(targets.directions):
        for pixel in _pixels_around(pixelization, direction, targets.radius):
            by_pixel[pixel].append(number)
    everyone = np.arange(len(targets.directions))
    if len(by_pixel) > _MANY_PIXELS:
        for regions in all_regions(butler, tables, chosen):
            yield _pairs(regions, targets, everyone)
    else:
        for pixel, regions in regions_by_pixel(butler, tables, sorted(by_pixel), chosen):
            yield _pairs(regions, targets, everyone[by_pixel[pixel]])


def _pixels_around(pixelization: PixelizationABC, direction: Vectors, radius: float) -> list[int]:
    center = UnitVector3d(*direction)
    return _pixels_of(pixelization, Circle(center, Angle(radius))) if radius else [int(pixelization.index(center))]


def _pixels_of(pixelization: PixelizationABC, region: Region) -> list[int]:
    return [int(pixel) for begin, end in pixelization.envelope(region) for pixel in range(begin, end)]


def _pairs(regions: Regions, targets: Fixed, numbers: Indices) -> Matches:
    """Return which regions hold which of the numbered targets."""
    centers, reach = circles(regions.corners)
    points = targets.directions[numbers]
    image, which = np.nonzero(centers @ points.T >= np.cos(np.minimum(reach + targets.radius, np.pi))[:, np.newaxis])
    directions = points[which]
    inside = contains(regions.corners[image], directions)
    if targets.radius:
        outside = np.flatnonzero(~inside)
        directions[outside] = nearest_points(regions.corners[image[outside]], directions[outside])
        apart = np.linalg.norm(directions - points[which], axis=1)
        inside |= apart <= 2 * np.sin(targets.radius / 2)
    return Matches(numbers[which], regions.where(image), directions).where(inside)


# Positions that move.


def _of_moving(butler: Butler, tables: ImageTables, targets: Moving, chosen: Chosen) -> Iterator[Matches]:
    pixelization = butler.dimensions.commonSkyPix.pixelization
    exposures = exposure_times(butler, tables, chosen)
    for number, motion in enumerate(targets.motions):
        for pixels, some in _path(pixelization, motion, exposures, chosen):
            for _, regions in regions_by_pixel(butler, tables, pixels, some):
                yield _at_their_times(number, motion, regions, exposures)


def _path(
    pixelization: PixelizationABC,
    motion: Motion,
    exposures: ExposureTimes,
    chosen: Chosen,
) -> Iterator[tuple[list[int], Chosen]]:
    """Yield pixels of the sky that something is in, and which images may hold it there."""
    if not len(exposures):
        return
    reach = motion.reach(exposures.middles)
    if reach is not None:
        center = UnitVector3d(*motion.at(exposures.middles[:1])[0])
        yield _pixels_of(pixelization, Circle(center, Angle(reach + _MARGIN))), chosen
        return
    directions = motion.at(exposures.middles)
    known = np.isfinite(directions).all(axis=1)
    pixels = _indices(pixelization, directions[known])
    ids = exposures.ids[known]
    ends = np.flatnonzero(np.diff(pixels)) + 1
    for begin, end in zip([0, *ends], [*ends, len(pixels)], strict=True):
        if end > begin:
            yield [int(pixels[begin])], replace(chosen, first=int(ids[begin]), last=int(ids[end - 1]))


def _indices(pixelization: PixelizationABC, directions: Vectors) -> NDArray[np.int64]:
    if isinstance(pixelization, HealpixPixelization):
        return np.asarray(hpgeom.vector_to_pixel(pixelization.nside, *directions.T, nest=True), np.int64)
    return np.array([pixelization.index(UnitVector3d(*direction)) for direction in directions], np.int64)


def _at_their_times(number: int, motion: Motion, regions: Regions, exposures: ExposureTimes) -> Matches:
    """Return which regions hold something when their images were taken."""
    timed = regions.where(exposures.have(regions.exposures))
    directions = motion.at(exposures.middles_of(timed.exposures))
    found = Matches(np.full(len(timed), number, np.intp), timed, directions)
    return found.where(contains(timed.corners, directions))


# Regions of the sky.


def _of_area(butler: Butler, tables: ImageTables, area: Region, chosen: Chosen) -> Iterator[Matches]:
    pixels = _pixels_of(butler.dimensions.commonSkyPix.pixelization, area)
    circle = area.getBoundingCircle()
    center = np.array(list(circle.getCenter()), float)
    radius = circle.getOpeningAngle().asRadians()
    many = len(pixels) > _MANY_PIXELS
    found: Any = (
        all_regions(butler, tables, chosen)
        if many
        else (regions for _, regions in regions_by_pixel(butler, tables, pixels, chosen))
    )
    for regions in found:
        centers, reach = circles(regions.corners)
        near = regions.where(centers @ center >= np.cos(np.minimum(reach + radius, np.pi)))
        near = near.where(np.array([_overlap(corners, area) for corners in near.corners], bool))
        points = np.broadcast_to(center, (len(near), 3)).copy()
        outside = ~contains(near.corners, points)
        points[outside] = nearest_points(near.corners[outside], points[outside])
        yield Matches(np.zeros(len(near), np.intp), near, points)


def _overlap(corners: Vectors, area: Region) -> bool:
    overlap = area.overlaps(ConvexPolygon([UnitVector3d(*corner) for corner in corners]))
    return overlap is not False  # None: it could not be decided

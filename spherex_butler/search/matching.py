"""Which regions hold which targets."""

from __future__ import annotations

__all__ = ("Matches", "find_matches")

from collections.abc import Iterator
from dataclasses import dataclass, replace

import hpgeom
import numpy as np
from lsst.daf.butler import Butler
from lsst.sphgeom import Angle, Circle, HealpixPixelization, PixelizationABC, Region, UnitVector3d
from numpy.typing import NDArray

from ..repository.butler_internals import ImageTables
from ..repository.exposures import sky_pixels
from .areas import area_pixels, overlapping
from .candidates import Chosen, ExposureTimes, all_regions, exposure_times, overlapping_regions
from .motion import Motion
from .ragged import spread
from .regions import MARGIN, Regions, Vectors, circles, contains, nearest_points, unit_vectors, unrepeated
from .targets import Area, Cells, Fixed, Moving, Targets

_MANY_PIXELS = 300
"""Pixels of the sky from which on it takes less to read every region once than those of each pixel."""


_BINS = 32
"""HEALPix nside of the pixels by which targets are looked up."""

_LARGEST = np.radians(2.6)  # from the centre of a detector to its corners, 2.5 degrees, and some more

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
        case Cells():
            found = _of_cells(butler, tables, targets, chosen)
    return Matches.joined(list(found))


# Positions that stay.


def _of_fixed(butler: Butler, tables: ImageTables, targets: Fixed, chosen: Chosen) -> Iterator[Matches]:
    pixelization = butler.dimensions.commonSkyPix.pixelization
    pixels = {
        pixel for direction in targets.directions for pixel in _pixels_around(pixelization, direction, targets.radius)
    }
    index = _Index(targets)
    for regions in _regions_over(butler, tables, sorted(pixels), chosen):
        yield index.pairs(regions)


def _pixels_around(pixelization: PixelizationABC, direction: Vectors, radius: float) -> list[int]:
    center = UnitVector3d(*direction)
    return sky_pixels(pixelization, Circle(center, Angle(radius))) if radius else [int(pixelization.index(center))]


class _Index:
    """Targets by where the centres of images may be that hold them: few are held against each of a million images."""

    def __init__(self, targets: Fixed) -> None:
        self._targets = targets
        radius = np.degrees(min(np.pi, _LARGEST + targets.radius)) + hpgeom.max_pixel_radius(_BINS)
        lon, lat = hpgeom.vector_to_angle(targets.directions)
        found = [
            hpgeom.query_circle(_BINS, *where, min(radius, 180.0), nest=True) for where in zip(lon, lat, strict=True)
        ]
        bins = np.concatenate([np.zeros(0, np.int64), *found])
        numbers = np.repeat(np.arange(len(found)), [len(some) for some in found])
        self._numbers = numbers[np.argsort(bins, kind="stable")]
        self._counts = np.bincount(bins, minlength=12 * _BINS**2)
        self._starts = np.cumsum(self._counts) - self._counts

    def pairs(self, regions: Regions) -> Matches:
        """Return which regions hold which targets."""
        targets = self._targets
        centers, reach = circles(regions.corners)
        image, number = self._near(centers, reach)
        points = targets.directions[number]
        near = np.einsum("ij,ij->i", centers[image], points) >= np.cos(np.minimum(reach[image] + targets.radius, np.pi))
        image, number, points = image[near], number[near], points[near]
        inside = contains(regions.corners[image], points)
        directions = points.copy()
        if targets.radius:
            outside = np.flatnonzero(~inside)
            directions[outside] = nearest_points(regions.corners[image[outside]], points[outside])
            apart = np.linalg.norm(directions - points, axis=1)
            inside |= apart <= 2 * np.sin(targets.radius / 2)
        return Matches(number, regions.where(image), directions).where(inside)

    def _near(self, centers: Vectors, reach: NDArray[np.float64]) -> tuple[Indices, Indices]:
        """Return pairs of images and targets that may be near enough; larger regions have all targets."""
        large = reach > _LARGEST
        bins = hpgeom.vector_to_pixel(_BINS, *centers.T, nest=True) if len(centers) else np.zeros(0, np.int64)
        counts = np.where(large, len(self._targets.directions), self._counts[bins])
        image, within = spread(counts)
        place = np.where(large[image], 0, self._starts[bins[image]] + within)
        return image, np.where(large[image], within, self._numbers[place] if len(self._numbers) else 0)


# Positions that move.


def _of_moving(butler: Butler, tables: ImageTables, targets: Moving, chosen: Chosen) -> Iterator[Matches]:
    pixelization = butler.dimensions.commonSkyPix.pixelization
    exposures = exposure_times(butler, tables, chosen)
    for number, motion in enumerate(targets.motions):
        for pixels, some in _path(pixelization, motion, exposures, chosen):
            for regions in overlapping_regions(butler, tables, pixels, some):
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
        yield sky_pixels(pixelization, Circle(center, Angle(reach + MARGIN))), chosen
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
    circle = area.getBoundingCircle()
    center = np.array(list(circle.getCenter()), float)
    radius = circle.getOpeningAngle().asRadians()
    pixels = area_pixels(butler.dimensions.commonSkyPix.pixelization, area)
    for regions in _regions_over(butler, tables, pixels, chosen):
        centers, reach = circles(regions.corners)
        near = regions.where(centers @ center >= np.cos(np.minimum(reach + radius, np.pi)))
        yield _with_nearest_points(near.where(overlapping(near.corners, area)), center)


def _of_cells(butler: Butler, tables: ImageTables, area: Cells, chosen: Chosen) -> Iterator[Matches]:
    if not len(area.cells):
        return
    nside = 1 << area.order
    center = unit_vectors(np.sum(hpgeom.pixel_to_vector(nside, area.cells, nest=True), axis=1))
    for regions in _regions_over(butler, tables, _pixels_of_cells(butler, area), chosen):
        overlap = [
            np.isin(hpgeom.query_polygon_vec(nside, unrepeated(corners), inclusive=True, nest=True), area.cells).any()
            for corners in regions.corners
        ]
        yield _with_nearest_points(regions.where(np.array(overlap, bool)), center)


def _pixels_of_cells(butler: Butler, area: Cells) -> list[int]:
    """Return the pixels of the universe's common system that cells are in."""
    pixelization = butler.dimensions.commonSkyPix.pixelization
    directions = np.stack(hpgeom.pixel_to_vector(1 << area.order, area.cells, nest=True), axis=-1)
    if isinstance(pixelization, HealpixPixelization) and area.order >= pixelization.getLevel():
        return [int(pixel) for pixel in np.unique(_indices(pixelization, directions))]
    radius = Angle(np.radians(hpgeom.max_pixel_radius(1 << area.order)))
    circles_around = (Circle(UnitVector3d(*direction), radius) for direction in directions)
    return sorted({pixel for circle in circles_around for pixel in sky_pixels(pixelization, circle)})


def _with_nearest_points(regions: Regions, center: Vectors) -> Matches:
    """Return matches of one target, at the points of images that are nearest its centre."""
    points = np.broadcast_to(center, (len(regions), 3)).copy()
    outside = ~contains(regions.corners, points)
    points[outside] = nearest_points(regions.corners[outside], points[outside])
    return Matches(np.zeros(len(regions), np.intp), regions, points)


def _regions_over(butler: Butler, tables: ImageTables, pixels: list[int], chosen: Chosen) -> Iterator[Regions]:
    """Yield the regions over pixels of the sky, some of them several times, or all regions if that takes less."""
    if len(pixels) > _MANY_PIXELS:
        yield from all_regions(butler, tables, chosen)
    else:
        yield from overlapping_regions(butler, tables, pixels, chosen)

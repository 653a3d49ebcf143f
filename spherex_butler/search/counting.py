"""Counts the images over each pixel of the sky.

Images whose centres are near each other are held against the same pixels at once, by one product of matrices: an image
has three by three numbers that take the direction of a pixel's centre to weights. The signs of these say whether the
image holds it, and they give its place on the detector.
"""

from __future__ import annotations

__all__ = ("Counter",)

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import hpgeom
import numpy as np
from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress, ProgressBar
from numpy.typing import NDArray

from ..constants import CHANNELS, DETECTORS
from ..repository.butler_internals import ImageTables
from ..repository.distortions import distortion_of
from .candidates import Chosen, all_regions
from .channel_maps import MIXED, ChannelMap
from .frames import DetectorPlane, are_full_frames, held_by_image, sky_bases
from .listing import ListedImages, listed_images
from .regions import Regions, Vectors, circles, contains, have_four_corners
from .registered import ImageFilter, image_keys
from .wavelengths import WavelengthMaps

_BINS = 32
"""HEALPix nside of the pixels in which the centres of images lie that are looked at together."""

_BIN_RADIUS = np.radians(hpgeom.max_pixel_radius(_BINS))  # from the centre of such a pixel to its farthest corner
_AT_ONCE = 2_000_000  # pairs of image and pixel; each takes 24 bytes
_WAITING = 200_000  # places; each takes 24 bytes
_KINDS = CHANNELS + 2  # mixed, outside all channels, and the channels


@dataclass(frozen=True, slots=True, eq=False)
class _Neighbours:
    """Images with their centres near each other, and the pixels that they may hold."""

    images: NDArray[np.intp]
    pixels: NDArray[np.int64]
    directions: Vectors
    """Of the pixels' centres."""

    def weights(self, inverse: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights of every direction in every image, shape (images, 3, pixels), from inverse bases."""
        found: NDArray[np.float64] = (inverse.reshape(-1, 3) @ self.directions.T).reshape(len(inverse), 3, -1)
        return found


class _Served:
    """The images of a detector that have the same channels, and how often each channel was seen in each pixel.

    Places in mixed cells wait until there are many: to compute a few takes as long.
    """

    def __init__(
        self, images: NDArray[np.bool_], plane: DetectorPlane, channels: ChannelMap, counts: NDArray[np.int32]
    ) -> None:
        self._images = images
        self._plane = plane
        self._channels = channels
        self._counts = counts
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
        self._number = 0

    def count(self, near: _Neighbours, images: NDArray[np.intp], held: NDArray[np.bool_], weights: Any) -> None:
        """Count the places of pixels in the images that hold them."""
        served = self._images[images]
        image, pixel = np.nonzero(held if served.all() else held & served[:, np.newaxis])
        x, y = self._plane.places(weights[image, :, pixel].T)
        found = self._channels.looked_up(x, y)
        seen = np.bincount(pixel * _KINDS + (found - MIXED), minlength=len(near.pixels) * _KINDS)
        self._counts[near.pixels] += seen.reshape(-1, _KINDS)[:, 1 - MIXED :].astype(np.int32)
        mixed = np.flatnonzero(found == MIXED)
        self._waiting.append((near.pixels[pixel[mixed]], x[mixed], y[mixed]))
        self._number += len(mixed)
        if self._number > _WAITING:
            self.count_waiting()

    def count_waiting(self) -> None:
        """Count the places that wait."""
        if self._waiting:
            pixels, x, y = map(np.concatenate, zip(*self._waiting, strict=True))
            channels = self._channels.computed(x, y)
            np.add.at(self._counts, (pixels[channels > 0], channels[channels > 0] - 1), 1)
            self._waiting, self._number = [], 0


@dataclass(frozen=True, slots=True, eq=False)
class _Images:
    """The images of a detector."""

    regions: Regions
    inverse: NDArray[np.float64]
    """Of their bases, shape (n, 3, 3); NaN for polygons that have not four corners."""

    @classmethod
    def of(cls, regions: Regions) -> Self:
        four = have_four_corners(regions.corners)
        inverse = np.full((len(regions), 3, 3), np.nan)
        inverse[four] = np.linalg.inv(sky_bases(regions.corners[four]))
        return cls(regions, inverse)


class Counter:
    """Counts images for each HEALPix pixel, nested.

    Parameters
    ----------
    butler, tables
        The repository.
    collections
        Where calibrations are looked for.
    order
        Of the pixels.
    by_channel
        The detectors whose images are counted by channel as well.
    """

    def __init__(
        self, butler: Butler, tables: ImageTables, collections: Sequence[str], order: int, by_channel: Collection[int]
    ) -> None:
        self._butler = butler
        self._tables = tables
        self._nside = 1 << order
        self._maps = WavelengthMaps(butler, collections)
        self.images = 0
        self.depth = np.zeros(12 * self._nside**2, np.int32)
        self._channels = {number: np.zeros((len(self.depth), CHANNELS), np.int32) for number in by_channel}

    def channel(self, detector: int, number: int) -> NDArray[np.int32]:
        """Return the counts of a channel."""
        return np.ascontiguousarray(self._channels[detector][:, number - 1])

    def count(self, chosen: Chosen, wanted: ImageFilter) -> None:
        """Count the chosen images."""
        listed = listed_images(self._butler, self._tables, chosen, wanted)
        bar: ProgressBar[None]
        with Progress(__name__).bar(desc="Counting", total=len(listed.keys)) as bar:
            for detector in sorted(chosen.detectors or DETECTORS):
                regions, places = self._listed_regions(chosen.of_detector(detector), listed)
                served = list(self._served(detector, regions, listed.releases[places], listed.times[places]))
                images = _Images.of(regions)
                self.images += len(regions)
                for near in self._neighbours(regions):
                    self._count(images, near, served)
                    bar.update(len(near.images))
                for some in served:
                    some.count_waiting()

    def _listed_regions(self, chosen: Chosen, listed: ListedImages) -> tuple[Regions, NDArray[np.intp]]:
        """Return the regions of images that are listed, and where in the list each is."""
        parts, places = [], [np.zeros(0, np.intp)]
        for regions in all_regions(self._butler, self._tables, chosen):
            place = listed.places(image_keys(regions.exposures, regions.detectors))
            parts.append(regions.where(place >= 0))
            places.append(place[place >= 0])
        return Regions.joined(parts), np.concatenate(places)

    def _served(
        self, detector: int, regions: Regions, releases: NDArray[np.str_], times: NDArray[np.int64]
    ) -> Iterator[_Served]:
        """Yield the channels of a detector by all control points that serve its images."""
        if detector in self._channels:
            whole = are_full_frames(regions.corners)
            plane = DetectorPlane(distortion_of(self._butler, detector))
            for wavelengths, images in self._maps.serving(detector, releases, times):
                channels = ChannelMap(detector, plane, wavelengths)
                yield _Served(images & whole, plane, channels, self._channels[detector])

    def _neighbours(self, regions: Regions) -> Iterator[_Neighbours]:
        """Yield all images, some at a time."""
        centers, reach = circles(regions.corners)
        bins = hpgeom.vector_to_pixel(_BINS, *centers.T, nest=True) if len(regions) else np.zeros(0, np.int64)
        order = np.argsort(bins, kind="stable")
        for images in np.split(order, np.flatnonzero(np.diff(bins[order])) + 1):
            if len(images):
                lon, lat = hpgeom.pixel_to_angle(_BINS, bins[images[0]], nest=True)
                radius = np.degrees(reach[images].max() + _BIN_RADIUS)
                pixels = hpgeom.query_circle(self._nside, lon, lat, radius, nest=True)
                directions = np.stack(hpgeom.pixel_to_vector(self._nside, pixels, nest=True), axis=-1)
                step = max(1, _AT_ONCE // max(1, len(pixels)))
                for begin in range(0, len(images), step):
                    yield _Neighbours(images[begin : begin + step], pixels, directions)

    def _count(self, every: _Images, near: _Neighbours, served: Sequence[_Served]) -> None:
        inverse = every.inverse[near.images]
        four = np.isfinite(inverse[:, 0, 0])
        self._count_others(every.regions.corners[near.images[~four]], near)
        images = near.images[four]
        if not (len(images) and len(near.pixels)):
            return
        weights = near.weights(inverse[four])
        held = held_by_image(weights)
        self.depth[near.pixels] += held.sum(axis=0, dtype=np.int32)
        for some in served:
            some.count(near, images, held, weights)

    def _count_others(self, corners: Vectors, near: _Neighbours) -> None:
        """Count polygons with more corners or fewer than an image has, and so without channels."""
        for polygon in corners:
            every = np.broadcast_to(polygon, (len(near.pixels), *polygon.shape))
            self.depth[near.pixels] += contains(every, near.directions)

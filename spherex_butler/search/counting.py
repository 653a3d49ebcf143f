"""Counts the images over each pixel of the sky.

Images whose centres are near each other are held against the same pixels at once, by one product of matrices: an image
has three by three numbers that take the direction of a pixel's centre to weights. The signs of these say whether the
image holds it, and they give its place on the detector.
"""

from __future__ import annotations

__all__ = ("Counter",)

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import hpgeom
import numpy as np
from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress, ProgressBar
from numpy.typing import NDArray

from ..constants import CHANNELS, DETECTORS
from ..repository.butler_internals import ImageTables
from ..repository.distortions import distortion_of
from .candidates import Chosen, all_regions
from .channel_maps import ChannelMap
from .frames import DetectorPlane, are_full_frames, held_by_image, sky_bases
from .listing import ListedImages, listed_images
from .regions import Regions, Vectors, circles, contains, have_four_corners
from .registered import ImageFilter, image_keys
from .wavelengths import WavelengthMaps

_BINS = 32
"""HEALPix nside of the pixels in which the centres of images lie that are looked at together."""

_BIN_RADIUS = np.radians(hpgeom.max_pixel_radius(_BINS))  # from the centre of such a pixel to its farthest corner
_AT_ONCE = 2_000_000  # pairs of image and pixel; each takes 24 bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Neighbours:
    """Images with their centres near each other, and the pixels that they may hold."""

    images: NDArray[np.intp]
    pixels: NDArray[np.int64]
    directions: Vectors
    """Of the pixels' centres."""

    def weights(self, corners: Vectors) -> NDArray[np.float64]:
        """Return the weights of every direction in every image, shape (images, 3, pixels)."""
        inverse = np.linalg.inv(sky_bases(corners))
        found: NDArray[np.float64] = (inverse.reshape(-1, 3) @ self.directions.T).reshape(len(corners), 3, -1)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Served:
    """Images of a detector, and the channels that they have."""

    images: NDArray[np.bool_]
    channels: ChannelMap


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
                self.images += len(regions)
                for near in self._neighbours(regions):
                    self._count(detector, regions.corners[near.images], near, served)
                    bar.update(len(near.images))

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
                yield _Served(images & whole, ChannelMap(detector, plane, wavelengths))

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

    def _count(self, detector: int, corners: Vectors, near: _Neighbours, served: Sequence[_Served]) -> None:
        four = have_four_corners(corners)
        self._count_others(corners[~four], near)
        images = near.images[four]
        if not (len(images) and len(near.pixels)):
            return
        weights = near.weights(corners[four])
        held = held_by_image(weights)
        self.depth[near.pixels] += held.sum(axis=0, dtype=np.int32)
        for some in served:
            image, pixel = np.nonzero(held & some.images[images, np.newaxis])
            channels = some.channels.of_weights(weights[image, :, pixel].T)
            cells = np.bincount(pixel * (CHANNELS + 1) + channels, minlength=len(near.pixels) * (CHANNELS + 1))
            self._channels[detector][near.pixels] += cells.reshape(len(near.pixels), -1)[:, 1:].astype(np.int32)

    def _count_others(self, corners: Vectors, near: _Neighbours) -> None:
        """Count polygons with more corners or fewer than an image has, and so without channels."""
        for polygon in corners:
            every = np.broadcast_to(polygon, (len(near.pixels), *polygon.shape))
            self.depth[near.pixels] += contains(every, near.directions)

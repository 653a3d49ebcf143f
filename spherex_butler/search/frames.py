"""From the sky to a detector's pixels and back, by the corners of an image and the distortion of its detector.

A registered region has the outer corners of an image on the sky, and no more. They fix the map between the sky,
projected from the middle of the sphere to a plane, and the plane of the detector without distortion: a homography,
which is exact for every gnomonic projection. Between this plane and the pixels lies the detector's distortion.
"""

from __future__ import annotations

__all__ = (
    "DetectorPlane",
    "FrameMap",
    "are_full_frames",
    "edge_distances",
    "held_by_image",
    "sky_bases",
    "stored_corners",
)

import numpy as np
from numpy.typing import NDArray

from ..constants import FULL_FRAME
from ..images.distortion import Distortion
from .regions import Vectors, have_four_corners, unit_vectors

Pixels = NDArray[np.float64]

_CORNER_PIXELS = np.array([(0, 0), (FULL_FRAME, 0), (FULL_FRAME, FULL_FRAME), (0, FULL_FRAME)], float) - 0.5
_STORED_ORDER = [1, 0, 3, 2]
"""Where a region has the lower left, lower right, upper right and upper left corner of its image.

lsst.sphgeom keeps corners counter-clockwise as seen from outside the sphere. Images have them clockwise, as right
ascension grows to the left, and get them turned round like this.
"""
_FINEST, _COARSEST = np.radians(np.array([6.138, 6.168]) / 3600) * FULL_FRAME
"""The mean side of an image. In the archive, a pixel has from 6.142 arcsec, of detector 2, to 6.164, of detector 6; of
one detector these differ by less than 1/10,000."""
_UNEQUAL = 1.0035  # at most, widths and heights; in the archive 1.0022
_BENT = 0.008  # at most, a side's difference from the mean; in the archive 0.0052
_NORTH = np.array([0.0, 0.0, 1.0])


def edge_distances(x: Pixels, y: Pixels) -> Pixels:
    """Return how far full-frame pixels are from the nearest edge of the image, negative beyond."""
    last = FULL_FRAME - 0.5
    found: Pixels = np.minimum.reduce([x + 0.5, y + 0.5, last - x, last - y])
    return found


def are_full_frames(corners: Vectors) -> NDArray[np.bool_]:
    """Return which regions are those of whole detectors; of cutouts, only the headers tell which pixels they have.

    A cutout of 2032 pixels or more cannot be told from a whole detector whose pixels are smaller.
    """
    four = corners[:, : len(_STORED_ORDER)]
    sides = 2 * np.arcsin(np.linalg.norm(four - np.roll(four, -1, axis=1), axis=2) / 2)
    mean = sides.mean(axis=1)
    shorter, longer = np.sort([sides[:, ::2].mean(axis=1), sides[:, 1::2].mean(axis=1)], axis=0)
    found = have_four_corners(corners) & (mean > _FINEST) & (mean < _COARSEST) & (longer < _UNEQUAL * shorter)
    return np.asarray(found & (np.abs(sides - mean[:, np.newaxis]) < _BENT * mean[:, np.newaxis]).all(axis=1))


def stored_corners(corners: Vectors) -> Vectors:
    """Return the lower left, lower right, upper right and upper left corner of images, from their regions."""
    return corners[:, _STORED_ORDER]


def sky_bases(corners: Vectors) -> NDArray[np.float64]:
    """Return the projective bases of images, shape (n, 3, 3), from regions with four corners.

    The columns are the first three corners, as long as makes their sum the fourth. A direction is a sum of columns with
    some weights, which are the same for any direction of the same length at the same place in another image.
    """
    return _bases(stored_corners(corners))


def held_by_image(weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which directions are in the image; their weights are in the last axis but one."""
    first, second, third = np.moveaxis(weights, -2, 0)
    return np.asarray((first >= 0) & (third >= 0) & (second <= first) & (second <= third))


class DetectorPlane:
    """The plane of a detector, with its pixels.

    Parameters
    ----------
    distortion
        The detector's, `None` if it is not known.
    """

    def __init__(self, distortion: Distortion | None) -> None:
        self._distortion = distortion
        x, y = self._removed(*_CORNER_PIXELS.T)
        self._basis = _bases(np.stack([x, y, np.ones(4)], axis=1)[np.newaxis])[0]

    def places(self, weights: NDArray[np.float64]) -> tuple[Pixels, Pixels]:
        """Return where pixels would be without distortion, from the weights of directions, shape (3, …)."""
        x, y, scale = np.tensordot(self._basis, weights, axes=1)
        return x / scale, y / scale

    def pixels(self, x: Pixels, y: Pixels) -> tuple[Pixels, Pixels]:
        """Return the 0-based full-frame pixels of places."""
        return (x, y) if self._distortion is None else self._distortion.applied(x, y)

    def weights(self, x: Pixels, y: Pixels) -> NDArray[np.float64]:
        """Return the weights of the directions of pixels, shape (3, n)."""
        return np.linalg.solve(self._basis, np.stack([*self._removed(x, y), np.ones(len(x))]))

    def _removed(self, x: Pixels, y: Pixels) -> tuple[Pixels, Pixels]:
        return (x, y) if self._distortion is None else self._distortion.removed(x, y)


class FrameMap:
    """The map between the sky and the pixels of several images of one detector.

    Parameters
    ----------
    corners
        Regions of whole detectors, shape (n, 4, 3).
    distortion
        The detector's, `None` if it is not known.
    """

    def __init__(self, corners: Vectors, distortion: Distortion | None) -> None:
        self._plane = DetectorPlane(distortion)
        self._bases = sky_bases(corners)

    def pixels(self, directions: Vectors) -> tuple[Pixels, Pixels]:
        """Return the 0-based full-frame pixels of one direction in each image, shape (n, 3)."""
        weights = np.asarray(np.linalg.solve(self._bases, directions[..., np.newaxis])[..., 0], float)
        return self._plane.pixels(*self._plane.places(weights.T))

    def directions(self, x: Pixels, y: Pixels) -> Vectors:
        """Return the directions of one pixel in each image, shape (n, 3)."""
        return self.directions_in(np.arange(len(self._bases)), x, y)

    def directions_in(self, images: NDArray[np.intp], x: Pixels, y: Pixels) -> Vectors:
        """Return the directions of pixels, each in one of the images, shape (pixels, 3)."""
        return unit_vectors(np.einsum("nij,jn->ni", self._bases[images], self._plane.weights(x, y)))

    def position_angles(self, x: Pixels, y: Pixels) -> NDArray[np.float64]:
        """Return the position angle of the image's y at one pixel of each, in degrees from North through East."""
        here, above = self.directions(x, y - 0.5), self.directions(x, y + 0.5)
        along = above - here
        east = np.cross(_NORTH, here)
        north = np.cross(here, east)
        angle = np.arctan2(np.einsum("ni,ni->n", along, east), np.einsum("ni,ni->n", along, north))
        return np.asarray(np.degrees(angle) % 360)


def _bases(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the projective bases of four points each, shape (n, 4, 3)."""
    first = np.swapaxes(points[:, :3], 1, 2)
    weights = np.linalg.solve(first, points[:, 3, :, np.newaxis])[..., 0]
    return np.asarray(first * weights[:, np.newaxis, :])

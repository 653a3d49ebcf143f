"""The simulated point-spread function, and the two forms in which Level 2 files carry it.

A narrow core and a wider wing, both Gaussian with axes along the pixels,
broader at long wavelengths and towards the field's edge.  The images are made
with it and both releases' kernels sample it, zone by zone.
"""

from __future__ import annotations

__all__ = (
    "Widths",
    "Zones",
    "cube_kernels",
    "effective_kernels",
    "make_zones",
    "pixel_fractions",
    "stamps",
    "widths_at",
)

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..constants import FULL_FRAME

CUBE_OVERSAMPLING = 10
TABLE_OVERSAMPLING = 5
_PIXEL = 6.15  # arcsec
_WING_FRACTION, _WING_SCALE = 0.12, 2.5
_FWHM_OPTICS = 4.6  # arcsec; with diffraction 5.1 at 2 µm, where the saved real header has 5.2
_FWHM_DIFFRACTION = 1.06  # arcsec a µm: 1.03 wavelengths over an aperture of 0.2 m
_FWHM_TO_SIGMA = 1 / (2 * math.sqrt(2 * math.log(2)))

_CUBE_OFFSET = (-0.053, -0.048)
"""Pixels by which QR2's kernels are off the middle of their samples, along x and y, as real ones are."""

_erf = np.frompyfunc(math.erf, 1, 1)


class Widths(NamedTuple):
    """Standard deviations of the core in pixels, along x and y."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


class Zones(NamedTuple):
    """Boxes of the field that share a kernel, x running fastest; 0-based full-frame pixels."""

    column: NDArray[np.int32]
    row: NDArray[np.int32]
    x_center: NDArray[np.float64]
    y_center: NDArray[np.float64]
    x_width: NDArray[np.float64]
    y_width: NDArray[np.float64]


def make_zones(shape: tuple[int, int]) -> Zones:
    """Return the zones of a grid of (nx, ny) equal boxes."""
    columns, rows = shape
    row, column = (index.ravel().astype(np.int32) for index in np.indices((rows, columns)))
    x_width, y_width = FULL_FRAME / columns, FULL_FRAME / rows
    x_center = np.asarray((column + 0.5) * x_width - 0.5, dtype=np.float64)
    y_center = np.asarray((row + 0.5) * y_width - 0.5, dtype=np.float64)
    return Zones(column, row, x_center, y_center, np.full(row.size, x_width), np.full(row.size, y_width))


def widths_at(x: NDArray[np.float64], y: NDArray[np.float64], wavelength: NDArray[np.float64]) -> Widths:
    """Return the width of the core at 0-based full-frame positions, wavelengths in µm."""
    sigma = np.hypot(_FWHM_OPTICS, _FWHM_DIFFRACTION * wavelength) * _FWHM_TO_SIGMA / _PIXEL
    u, v = (x - 1019.5) / 1020, (y - 1019.5) / 1020
    # Not symmetric in x and y, so that zones taken for one another do show.
    return Widths(sigma * (1 + 0.06 * u**2 + 0.04 * u), sigma * (1 + 0.05 * v**2 - 0.03 * u))


def pixel_fractions(
    offset: NDArray[np.float64], sigma: NDArray[np.float64], *, pixel: float = 1.0
) -> NDArray[np.float64]:
    """Return which fraction of a source falls within each pixel of an axis.

    Parameters
    ----------
    offset
        Distances of the pixels' centers from the source, shape (n, k), in detector pixels.
    sigma
        Width of the core along this axis, shape (n,).
    pixel
        Width of a pixel, in detector pixels.

    Returns
    -------
    fractions
        Shape (2, n, k): of core and wing.
    """
    scales = np.stack([sigma, sigma * _WING_SCALE])[..., np.newaxis] * math.sqrt(2)
    lower, upper = (np.asarray(_erf((offset + side) / scales), dtype=float) for side in (-pixel / 2, pixel / 2))
    fractions: NDArray[np.float64] = (upper - lower) / 2
    return fractions


def stamps(along_y: NDArray[np.float64], along_x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return images (n, ky, kx) of sources of unit flux from their fractions along the axes."""
    weights = np.array([1 - _WING_FRACTION, _WING_FRACTION])
    images: NDArray[np.float64] = np.einsum("c,cny,cnx->nyx", weights, along_y, along_x)
    return images


def cube_kernels(widths: Widths, side: int) -> NDArray[np.float32]:
    """Return QR2 kernels (zones, side, side), ten samples a pixel, of sum 1, slightly off the middle."""
    return _kernels(widths, side, CUBE_OVERSAMPLING, 1 / CUBE_OVERSAMPLING, 1.0, offset=_CUBE_OFFSET).astype(np.float32)


def effective_kernels(widths: Widths, side: int) -> NDArray[np.float64]:
    """Return QR3 kernels (zones, side, side), five samples a pixel.

    A sample is the fraction of a source in a pixel so far from it; the sum
    is 25, one a pixel.
    """
    return _kernels(widths, side, TABLE_OVERSAMPLING, 1.0, TABLE_OVERSAMPLING**2)


def _kernels(
    widths: Widths,
    side: int,
    oversampling: int,
    pixel: float,
    total: float,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    samples = np.broadcast_to((np.arange(side) - side // 2) / oversampling, (widths.x.size, side))
    along_x, along_y = (
        pixel_fractions(samples - shift, sigma, pixel=pixel)
        for shift, sigma in zip(offset, (widths.x, widths.y), strict=True)
    )
    kernels = stamps(along_y, along_x)
    scaled: NDArray[np.float64] = kernels * (total / kernels.sum(axis=(1, 2), keepdims=True))
    return scaled

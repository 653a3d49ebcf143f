"""Images of one point source of known flux, made from an image's own PSF, with noise of known variance."""

from __future__ import annotations

from functools import cache

import numpy as np

from spherex_butler.testing import make_spectral_image

BASE, SLOPE = 1e-4, 2e-4
"""Variance without light, (MJy/sr)^2, and by how much it grows with brightness, MJy/sr."""

SKY = 0.3  # MJy/sr at the middle
SIDE = 31
MIDDLE = SIDE // 2
SOLID_ANGLE = 1e-6  # sr: MJy/sr times pixels are Jy


@cache
def _blank(release, detector):
    image = make_spectral_image(release=release, detector=detector, size=SIDE, full_psf=True)
    image.flags = np.zeros(image.data.shape, np.int32)
    return image


def blank(release="qr2", detector=3):
    """Return an image without flags, which may be changed."""
    return _blank(release, detector).copy()


def stamp(image, x, y, shape=(SIDE, SIDE)):
    """Return what the image's pixels see of a source of unit flux."""
    kernel = image.psf.detector_kernel(x, y)
    reach = kernel.shape[0] // 2
    found = np.zeros([side + 2 * reach for side in shape])
    row, column = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    found[row : row + kernel.shape[0], column : column + kernel.shape[1]] = kernel
    return found[reach : reach + shape[0], reach : reach + shape[1]]


def flux_of(significance, kernel):
    """Return the flux that a matched filter measures at this signal to noise."""
    flux = 0.0
    for _ in range(30):
        flux = significance / np.sqrt((kernel**2 / (BASE + SLOPE * (SKY + flux * kernel))).sum())
    return flux


def fill(image, light, random=None):
    """Give an image light on a sloping background; with noise, its variance is that of what was measured."""
    rows, columns = np.indices(image.data.shape) - MIDDLE
    truth = SKY + 1e-3 * columns - 5e-4 * rows + light
    seen = truth if random is None else random.normal(truth, np.sqrt(BASE + SLOPE * truth))
    image.data = seen.astype(np.float32)
    image.uncertainty.array[:] = BASE + SLOPE * np.clip(seen, 0, None)
    return image

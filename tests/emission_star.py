"""Images of a star with emission lines: He I 1.083 µm and hydrogen's Paschen series on a blackbody."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike, NDArray

from spherex_butler import SpectralImage
from spherex_butler.constants import FULL_FRAME
from spherex_butler.images.positions import sky_pixels
from spherex_butler.testing import source_catalog, write_level2
from spherex_butler.testing.frames import make_frame
from spherex_butler.testing.level2 import plan_exposures
from spherex_butler.testing.planes import pixel_positions

LINES = {"Pa δ": 1.0052, "He I": 1.0833, "Pa γ": 1.0941, "Pa β": 1.2822, "Pa α": 1.8756}
"""Rest wavelengths in a vacuum, µm: NIST Atomic Spectra Database, https://physics.nist.gov/asd."""

FLUXES = {"Pa δ": 0.2, "He I": 1.2, "Pa γ": 0.4, "Pa β": 0.8, "Pa α": 1.0}
"""mJy µm: integrals over wavelength."""

_CONTINUUM, _TEMPERATURE = 30.0, 12_000.0  # mJy at 2 µm; K
_WIDTH_TO_SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
_EXPOSURES, _SIDE = 17, 44
_FIRST = {1: "2025W51_1A_0100_1", 2: "2025W51_1A_0200_1", 3: "2025W51_1A_0300_1"}


def continuum(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Return the flux density without lines, mJy; wavelengths in µm."""
    micron = np.asarray(wavelength, float)
    planck = [place**-3 / np.expm1(14387.77 / (place * _TEMPERATURE)) for place in (micron, 2.0)]
    return np.asarray(_CONTINUUM * planck[0] / planck[1])


def profiles(wavelength: ArrayLike, bandwidth: ArrayLike) -> NDArray[np.float64]:
    """Return what bands see of lines of unit flux, shape (bands, lines), a µm: bands are Gaussian, lines are narrow."""
    sigma = np.asarray(bandwidth, float)[:, np.newaxis] * _WIDTH_TO_SIGMA
    offset = np.asarray(wavelength, float)[:, np.newaxis] - np.array(list(LINES.values()))
    return np.asarray(np.exp(-0.5 * (offset / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)))


def seen(wavelength: ArrayLike, bandwidth: ArrayLike) -> NDArray[np.float64]:
    """Return the flux density that bands see, mJy."""
    return continuum(wavelength) + profiles(wavelength, bandwidth) @ np.array(list(FLUXES.values()))


def lonely_position(center: SkyCoord) -> SkyCoord:
    """Return a place near another without a simulated source within 40 arcsec."""
    known = source_catalog(center, 0.3 * u.deg)
    ra, dec = np.meshgrid(center.ra.deg + np.linspace(-0.1, 0.1, 21), center.dec.deg + np.linspace(-0.1, 0.1, 21))
    places = SkyCoord(ra.ravel(), dec.ravel(), unit="deg")
    _, apart, _ = places.match_to_catalog_sky(SkyCoord(known["ra"], known["dec"]))
    return places[int(np.argmax(apart))]


def write_star(folder: Path, position: SkyCoord) -> list[Path]:
    """Write cutouts in which detectors 1 to 3 see a star at a position in each channel, and return the files."""
    return [path for detector in _FIRST for path in _write_scan(folder, position, detector)]


def _write_scan(folder: Path, position: SkyCoord, detector: int) -> list[Path]:
    center = _center(folder, position, detector)
    paths = []
    planned = plan_exposures(folder, exposures=_EXPOSURES, detectors=[detector], center=center, obs_id=_FIRST[detector])
    for one in planned:
        x, y = (
            float(axis) for axis in pixel_positions(make_frame(**one.options).wcs(), position.ra.deg, position.dec.deg)
        )
        if not (0 < x < FULL_FRAME - 1 and 0 < y < FULL_FRAME - 1):
            continue
        origin = tuple(int(np.clip(round(place) - _SIDE // 2, 0, FULL_FRAME - _SIDE)) for place in (x, y))
        path = write_level2(one.path, **one.options | {"size": _SIDE, "origin": origin, "full_psf": True})
        _add_star(path, position)
        paths.append(path)
    return paths


def _center(folder: Path, position: SkyCoord, detector: int) -> SkyCoord:
    """Return where a scan begins in whose middle exposure a position is in the middle of a detector."""
    center = position
    for _ in range(3):
        (*_, middle) = plan_exposures(folder, exposures=_EXPOSURES // 2 + 1, detectors=[detector], center=center)
        there = make_frame(**middle.options).wcs().pixel_to_world(FULL_FRAME / 2, FULL_FRAME / 2)
        center = SkyCoord(center.ra + position.ra - there.ra, center.dec + position.dec - there.dec)
    return center


def _add_star(path: Path, position: SkyCoord) -> None:
    image = SpectralImage.read(path)
    x, y = (axis.item() for axis in sky_pixels(position, image.data.shape, image.wcs))
    kernel = image.psf.detector_kernel(x, y)
    reach = kernel.shape[0] // 2
    row, column = (int(np.floor(place + 0.5)) for place in (y, x))
    wavelength, bandwidth = (value.to_value(u.um) for value in (image.wavelength_at(x, y), image.bandwidth_at(x, y)))
    flux = seen([wavelength], [bandwidth])[0] * u.mJy
    light = (flux / _solid_angle(image, x, y)).to_value(image.unit)
    padded = np.zeros([side + 2 * reach for side in image.data.shape])
    padded[row : row + kernel.shape[0], column : column + kernel.shape[1]] = light * kernel
    image.data = (image.data + padded[reach:-reach, reach:-reach]).astype(np.float32)
    image.write(path, overwrite=True)


def _solid_angle(image: SpectralImage, x: float, y: float) -> u.Quantity:
    """Return that of a pixel just there, by the distances of its middle sides; pixels are square to 1e-3."""
    left, right, below, above = image.wcs.pixel_to_world([x - 0.5, x + 0.5, x, x], [y, y, y - 0.5, y + 0.5])
    return (left.separation(right) * below.separation(above)).to(u.sr)

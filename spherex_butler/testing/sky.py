"""The simulated sky: zodiacal light, point sources of known spectra, and fainter ones only catalogued.

It is a function of position, wavelength and seed alone, so that every
detector and every exposure sees the same one.  Sources are drawn cell by cell
of a fixed grid, each cell from its own stream of random numbers.
"""

from __future__ import annotations

__all__ = (
    "catalogued_positions",
    "source_catalog",
    "source_flux",
    "zodiacal_shape",
    "zodiacal_spectrum",
)

from collections.abc import Iterator
from typing import NamedTuple

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray

_CELL = 0.25  # deg
_BRIGHT_DENSITY = 600  # a square degree: half a dozen in a 64 x 64 cutout
# With 3 x 3 pixels flagged around each it gives the PXSRCMSK of the saved real header, 70.64 %.
_FAINT_DENSITY = 46_300
_FAINTEST, _BRIGHTEST = 0.5, 1000.0  # mJy at the reference wavelength
_REFERENCE_WAVELENGTH = 2.0  # µm
_STAR_FRACTION = 0.7

_SUN_TEMPERATURE = 5778.0  # K
_DUST_TEMPERATURE = 250.0  # K, of the thermal emission at 90 deg elongation
_PLANE_INCLINATION, _PLANE_NODE = 2.03, 77.7  # deg: Kelsall et al. 1998, ApJ 508, 44

_STREAMS = {"bright": 1, "faint": 2}


class _Cell(NamedTuple):
    number: int
    ra: tuple[float, float]
    sin_dec: tuple[float, float]
    area: float  # square degrees


def source_catalog(center: SkyCoord, radius: u.Quantity, *, seed: int = 0) -> QTable:
    """Return the point sources that images of this seed show in a circle on the sky.

    Parameters
    ----------
    center
        Center of the circle.
    radius
        Its angular radius.
    seed
        The images' seed.

    Returns
    -------
    catalog
        Columns ``source_id``, ``ra``, ``dec`` (deg, ICRS), ``flux`` (mJy at
        2 µm), ``kind`` ("star", a blackbody, or "galaxy", a power law),
        ``temperature`` (K; NaN for a galaxy) and ``index`` (of wavelength in
        flux density a unit frequency; NaN for a star).
    """
    parts = [_bright_sources(cell, seed) for cell in _cells(center, radius)]
    numbers, ra, dec, flux, parameter, star = (np.concatenate(column) for column in zip(*parts, strict=True))
    inside = SkyCoord(ra, dec, unit="deg").separation(center.icrs) <= radius
    catalog = QTable(
        {
            "source_id": numbers,
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "flux": flux * u.mJy,
            "kind": np.where(star, "star", "galaxy"),
            "temperature": np.where(star, 2800 * 3**parameter, np.nan) * u.K,
            "index": np.where(star, np.nan, 2 * parameter - 1),
        }
    )
    return catalog[inside]


def source_flux(catalog: QTable, wavelength: u.Quantity) -> u.Quantity:
    """Return the flux density of each source of a catalog.

    Parameters
    ----------
    catalog
        From `source_catalog`.
    wavelength
        A scalar, or one for each source.
    """
    micron = np.broadcast_to(wavelength.to_value(u.um), (len(catalog),))
    star = catalog["kind"] == "star"
    spectrum = np.empty(len(catalog))
    temperature = catalog["temperature"][star].to_value(u.K)
    spectrum[star] = _planck(micron[star], temperature) / _planck(_REFERENCE_WAVELENGTH, temperature)
    spectrum[~star] = (micron[~star] / _REFERENCE_WAVELENGTH) ** np.asarray(catalog["index"])[~star]
    flux: u.Quantity = catalog["flux"] * spectrum
    return flux


def catalogued_positions(
    center: SkyCoord, radius: u.Quantity, *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ra and dec in deg of the sources too faint to see that real reference catalogs hold.

    They cover at least the circle, and cells at its rim as a whole.
    """
    parts = [_positions(cell, _FAINT_DENSITY, _generator(cell, "faint", seed)) for cell in _cells(center, radius)]
    ra, dec = (np.concatenate(column) for column in zip(*parts, strict=True))
    return ra, dec


def zodiacal_shape(longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.float64]:
    """Return the zodiacal light at ecliptic positions in deg, in units of that at the poles."""
    tilt = _PLANE_INCLINATION * np.sin(np.radians(np.asarray(longitude) - _PLANE_NODE))
    height = np.sin(np.radians(np.asarray(latitude) - tilt))
    shape: NDArray[np.float64] = 1 + 1.8 * np.exp(-np.hypot(height, 0.05) / 0.35)
    return shape


def zodiacal_spectrum(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the zodiacal light at the poles in MJy/sr: scattered sunlight and warm dust."""
    scattered = 0.12 * _planck(wavelength, _SUN_TEMPERATURE) / _planck(1.25, _SUN_TEMPERATURE)
    thermal = 0.25 * _planck(wavelength, _DUST_TEMPERATURE) / _planck(4.9, _DUST_TEMPERATURE)
    return scattered + thermal


def _planck(wavelength: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Return the Planck function a unit frequency, up to a constant factor."""
    micron = np.asarray(wavelength, dtype=float)
    # hc/k is 14387.77 µm K.
    brightness: NDArray[np.float64] = micron**-3 / np.expm1(14387.77 / (micron * np.asarray(temperature)))
    return brightness


def _cells(center: SkyCoord, radius: u.Quantity) -> Iterator[_Cell]:
    """Yield the cells that overlap a circle, always in the same order."""
    ra, dec, angle = center.icrs.ra.deg, center.icrs.dec.deg, radius.to_value(u.deg)
    bands = np.floor((np.clip([dec - angle, dec + angle], -90, 90 - 1e-9) + 90) / _CELL).astype(int)
    for band in range(bands[0], bands[1] + 1):
        south, north = np.radians(band * _CELL - 90), np.radians((band + 1) * _CELL - 90)
        number = max(1, int(360 * np.cos((south + north) / 2) / _CELL))
        width = 360 / number
        sin_dec = float(np.sin(south)), float(np.sin(north))
        area = float(np.degrees(sin_dec[1] - sin_dec[0]) * width)
        for index in _column_indices(ra, dec, angle, number):
            yield _Cell(band * 1440 + index, (index * width, (index + 1) * width), sin_dec, area)


def _column_indices(ra: float, dec: float, angle: float, number: int) -> list[int]:
    """Return which of a band's ``number`` cells a circle can reach."""
    if abs(dec) + angle >= 90:
        return list(range(number))
    half = np.degrees(np.arcsin(np.sin(np.radians(angle)) / np.cos(np.radians(dec))))
    first, last = (int(np.floor((ra + side) / 360 * number)) for side in (-half, half))
    return sorted({index % number for index in range(first, min(last, first + number - 1) + 1)})


def _generator(cell: _Cell, stream: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, _STREAMS[stream], cell.number])))


def _positions(
    cell: _Cell, density: float, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    count = random.poisson(density * cell.area)
    return random.uniform(*cell.ra, count), np.degrees(np.arcsin(random.uniform(*cell.sin_dec, count)))


def _bright_sources(cell: _Cell, seed: int) -> tuple[NDArray[np.generic], ...]:
    """Return id, ra, dec, flux, spectral parameter (0 to 1) and whether it is a star."""
    random = _generator(cell, "bright", seed)
    ra, dec = _positions(cell, _BRIGHT_DENSITY, random)
    # Euclidean counts would fall faster; at the flux limit here they have flattened to a slope near -1.
    flux = np.minimum(_FAINTEST / (1 - random.random(ra.size)), _BRIGHTEST)
    star = random.random(ra.size) < _STAR_FRACTION
    return cell.number * 1000 + np.arange(ra.size), ra, dec, flux, random.random(ra.size), star

"""The pixels of a simulated image: sky, noise and flags.

Every random number belongs to a pixel of the full frame, so that a cutout
holds exactly the pixels that the full frame has there.
"""

from __future__ import annotations

__all__ = ("Planes", "make_planes", "pixel_positions", "wavelengths_of")

from collections.abc import Callable
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.typing import NDArray

from ..constants import FULL_FRAME
from ..formats.fits.boxes import Box
from .frames import Frame
from .headers import flag_bits, pixel_solid_angle
from .pointing import ecliptic
from .psf_models import pixel_fractions, stamps, widths_at
from .sky import catalogued_positions, source_catalog, source_flux, zodiacal_shape, zodiacal_spectrum

_READ_VARIANCE = 0.010**2  # (MJy/sr)^2, that of a pixel without light
_PHOTON_VARIANCE = 2e-4  # MJy/sr, variance a unit of brightness
_OVERFLOW = 100.0  # MJy/sr
_SOURCE_SIGNIFICANCE = 0.5  # noise levels from which a pixel is flagged SOURCE
_DICHROIC_EDGE = {3: (2.4083, np.inf), 4: (0.0, 2.4083)}  # µm, flagged between; D3 as many as in its real header
_STAMP_HALF = 5  # pixels, more than five times the width of the PSF's wing

# Real counts a frame: L2 N_… cards of the saved header (whose one hot pixel would hardly ever be seen).
_DETECTOR_COUNTS = {"NONFUNC": 12153, "COLD": 1731, "HOT": 400}
_EXPOSURE_COUNTS = {"TRANSIENT": 22044, "SUR_ERROR": 15463, "OUTLIER": 71926, "PERSIST": 8406}
_EXCESS = {"HOT": 50, "TRANSIENT": 25, "OUTLIER": 8}  # noise levels above the true brightness

_STREAMS = {"noise": 1, "detector": 2, "exposure": 3}


class Planes(NamedTuple):
    """The image planes of a Level 2 file; MJy/sr, its square, and flag bits."""

    image: NDArray[np.float32]
    flags: NDArray[np.int32]
    variance: NDArray[np.float32]
    zodi: NDArray[np.float32]


def make_planes(frame: Frame) -> Planes:
    """Return the image planes of a frame."""
    wcs = frame.wcs()
    wavelengths = wavelengths_of(frame)
    zodi = zodiacal_spectrum(wavelengths) * _zodiacal_shape(frame, wcs)
    center, radius = _circle(frame, wcs)
    sources = _source_image(frame, wcs, center, radius)
    variance = _READ_VARIANCE + _PHOTON_VARIANCE * (zodi + sources)
    noise = np.sqrt(variance)
    flags = _random_flags(frame)
    flags |= _bit("SOURCE") * ((sources > _SOURCE_SIGNIFICANCE * noise) | _catalogued_mask(frame, wcs, center, radius))
    flags |= _bit("OVERFLOW") * (sources > _OVERFLOW)
    low, high = _DICHROIC_EDGE.get(frame.detector, (0.0, 0.0))
    flags |= _bit("DICHROIC") * ((wavelengths > low) & (wavelengths < high))
    deviation = _rows(frame, "noise", lambda random: random.standard_normal(FULL_FRAME, dtype=np.float32))
    image = zodi + sources + noise * (deviation + _excess(flags))
    image[(flags & _bit("COLD")) != 0] *= 0.4
    return Planes(image.astype(np.float32), flags, variance.astype(np.float32), zodi.astype(np.float32))


def wavelengths_of(frame: Frame) -> NDArray[np.float64]:
    """Return the wavelength of every pixel, µm."""
    table = frame.wavelengths
    return _interpolated(table.x - 1.0, table.y - 1.0, table.values[..., 0], frame.box)


def pixel_positions(
    wcs: WCS, ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 0-based full-frame positions, to 1e-9 pixel in the frame.

    Unlike ``all_world2pix``, whose iteration ends when every point has
    converged, it gives a point the same position in any company.
    """
    linear_x, linear_y = wcs.wcs_world2pix(ra, dec, 0)
    x, y = linear_x, linear_y
    for _ in range(5):  # each takes the error down by the distortion's gradient, below 0.02
        distorted_x, distorted_y = wcs.pix2foc(x, y, 0)
        x, y = x + linear_x - distorted_x, y + linear_y - distorted_y
    return x, y


def _circle(frame: Frame, wcs: WCS) -> tuple[SkyCoord, u.Quantity]:
    """Return a circle on the sky around every source that reaches the frame."""
    height, width = frame.box.shape
    ra, dec = wcs.all_pix2world(frame.box.x_min + (width - 1) / 2, frame.box.y_min + (height - 1) / 2, 0)
    # A pixel is 6.15 arcsec; the stamp's half, and a percent for the distortion.
    radius = 6.15 * 1.01 * (np.hypot(height, width) / 2 + 2 * _STAMP_HALF) * u.arcsec
    return SkyCoord(float(ra), float(dec), unit="deg"), radius


def _zodiacal_shape(frame: Frame, wcs: WCS) -> NDArray[np.float64]:
    points = np.linspace(0, FULL_FRAME - 1, 9)
    columns, rows = np.meshgrid(points, points)
    ra, dec = wcs.all_pix2world(columns.ravel(), rows.ravel(), 0)
    longitude, latitude = ecliptic(ra, dec)
    return _interpolated(points, points, zodiacal_shape(longitude, latitude).reshape(9, 9), frame.box)


def _interpolated(
    x: NDArray[np.floating], y: NDArray[np.floating], values: NDArray[np.floating], box: Box
) -> NDArray[np.float64]:
    """Return grid values, linear between the points, at every pixel of a box.

    A pixel's result does not depend on the box, which a matrix product would
    not promise to the last bit.
    """
    across = np.arange(box.x_min, box.x_max, dtype=float)
    rows = np.stack([np.interp(across, x, row) for row in values.astype(float)])
    along = np.arange(box.y_min, box.y_max, dtype=float)
    index = np.clip(np.searchsorted(y, along, side="right") - 1, 0, len(y) - 2)
    weight = ((along - y[index]) / (y[index + 1] - y[index]))[:, np.newaxis]
    return rows[index] * (1 - weight) + rows[index + 1] * weight


def _source_image(frame: Frame, wcs: WCS, center: SkyCoord, radius: u.Quantity) -> NDArray[np.float64]:
    """Return the surface brightness of the point sources alone, MJy/sr."""
    catalog = source_catalog(center, radius, seed=frame.seed)
    x, y = pixel_positions(wcs, catalog["ra"].to_value(u.deg), catalog["dec"].to_value(u.deg))
    wavelength, _ = frame.wavelengths.interpolated(x, y)  # of sources around the frame, too
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    widths = widths_at(x, y, wavelength)
    steps = np.arange(-_STAMP_HALF, _STAMP_HALF + 1)
    along_x = pixel_fractions(steps + (column - x)[:, np.newaxis], widths.x)
    along_y = pixel_fractions(steps + (row - y)[:, np.newaxis], widths.y)
    flux = source_flux(catalog, wavelength * u.um).to_value(u.MJy) / pixel_solid_angle()
    brightness = stamps(along_y, along_x) * flux[:, np.newaxis, np.newaxis]
    rows, columns = np.broadcast_arrays(
        (row[:, np.newaxis] + steps)[:, :, np.newaxis], (column[:, np.newaxis] + steps)[:, np.newaxis, :]
    )
    image = np.zeros(frame.box.shape)
    inside, index = _inside(frame, columns.ravel(), rows.ravel())
    np.add.at(image, index, brightness.ravel()[inside])
    return image


def _catalogued_mask(frame: Frame, wcs: WCS, center: SkyCoord, radius: u.Quantity) -> NDArray[np.bool_]:
    """Return the pixels within one of a source of the reference catalog too faint to see."""
    ra, dec = catalogued_positions(center, radius, seed=frame.seed)
    x, y = wcs.wcs_world2pix(ra, dec, 0)
    box, margin = frame.box, 20  # pixels; the distortion is less
    near = (x > box.x_min - margin) & (x < box.x_max + margin) & (y > box.y_min - margin) & (y < box.y_max + margin)
    x, y = pixel_positions(wcs, ra[near], dec[near])
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    mask = np.zeros(box.shape, dtype=bool)
    for dx, dy in np.ndindex(3, 3):
        _, index = _inside(frame, column + dx - 1, row + dy - 1)
        mask[index] = True
    return mask


def _inside(
    frame: Frame, column: NDArray[np.int_], row: NDArray[np.int_]
) -> tuple[NDArray[np.bool_], tuple[NDArray[np.int_], NDArray[np.int_]]]:
    """Return which full-frame pixels the frame has, and where in it they are."""
    box = frame.box
    inside = (column >= box.x_min) & (column < box.x_max) & (row >= box.y_min) & (row < box.y_max)
    return inside, (row[inside] - box.y_min, column[inside] - box.x_min)


def _random_flags(frame: Frame) -> NDArray[np.int32]:
    """Return the flags of bad pixels, the detector's own and the exposure's, and of full samples."""
    flags = np.zeros(frame.box.shape, dtype=np.int32)
    for stream, counts in (("detector", _DETECTOR_COUNTS), ("exposure", _EXPOSURE_COUNTS)):
        limits = np.cumsum(list(counts.values())) / FULL_FRAME**2
        bits = np.array([*(_bit(name) for name in counts), 0], dtype=np.int32)
        uniform = _rows(frame, stream, lambda random: random.random(FULL_FRAME))
        flags |= bits[np.searchsorted(limits, uniform, side="right")]
    # The real positions are not published: a raster of about as many pixels (240), one in the middle.
    full_rows, full_columns = (
        np.arange(low, high) % 132 == 1020 % 132
        for low, high in ((frame.box.y_min, frame.box.y_max), (frame.box.x_min, frame.box.x_max))
    )
    flags |= _bit("FULLSAMPLE") * (full_rows[:, np.newaxis] & full_columns)
    return flags


def _excess(flags: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return how far bad pixels are above the truth, in noise levels."""
    excess = np.zeros(flags.shape)
    for name, levels in _EXCESS.items():
        excess[(flags & _bit(name)) != 0] = levels
    return excess


def _rows(frame: Frame, stream: str, draw: Callable[[np.random.Generator], NDArray[Any]]) -> NDArray[Any]:
    """Return random numbers of the frame's pixels, each row of the full frame having its own."""
    exposure = 0 if stream == "detector" else frame.observation.expidn(frame.detector)
    sequence = np.random.SeedSequence([frame.seed, _STREAMS[stream], frame.detector, exposure])
    key = sequence.generate_state(2, np.uint64)
    columns = slice(frame.box.x_min, frame.box.x_max)
    rows = range(frame.box.y_min, frame.box.y_max)
    philox = (np.random.Philox(key=key, counter=[0, row, 0, 0]) for row in rows)
    return np.stack([draw(np.random.Generator(bits))[columns] for bits in philox])


def _bit(name: str) -> np.int32:
    return np.int32(1 << flag_bits()[name])

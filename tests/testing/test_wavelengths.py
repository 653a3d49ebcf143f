"""Simulated wavelengths against the real spectral channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from simulated import DETECTORS, written

from spherex_butler.formats.fits.boxes import Box
from spherex_butler.testing import level2_hdulist
from spherex_butler.testing.frames import make_frame
from spherex_butler.testing.wavelengths import wavelength_grid

DATA = Path(__file__).parent / "data"
FULL_FRAME = Box(0, 2040, 0, 2040)


@pytest.mark.parametrize("detector", DETECTORS)
def test_wavelengths_lie_in_the_real_spectral_channels(detector):
    channels = Table.read(DATA / "spectral_channels.ecsv")
    channels = channels[channels["DETECTOR"] == detector]
    channel_map = np.loadtxt(DATA / "channel_map_every_16.txt", dtype=int)
    wavelengths = wavelength_grid(detector, (11, 11)).wavelengths(FULL_FRAME)[7::16, 7::16]
    inside = (channel_map >= 1) & (channel_map <= 17)
    channel = channel_map[inside] - 1
    fits_in = (wavelengths[inside] >= np.asarray(channels["WL_MIN"])[channel]) & (
        wavelengths[inside] <= np.asarray(channels["WL_MAX"])[channel]
    )
    assert fits_in.mean() > (0.985 if detector == 4 else 0.998)


@pytest.mark.parametrize("detector", DETECTORS)
def test_bandwidth_is_the_wavelength_over_the_channels_resolving_power(detector):
    channels = Table.read(DATA / "spectral_channels.ecsv")
    channels = channels[(channels["DETECTOR"] == detector) & (channels["SUBCHAN"] > 1)]
    values = wavelength_grid(detector, (11, 200)).values[:, 5]
    order = np.argsort(values[:, 0])
    powers = np.interp(channels["WAVELENGTH"], values[order, 0], (values[:, 0] / values[:, 1])[order])
    np.testing.assert_allclose(powers, channels["R"], rtol=0.03)


@pytest.mark.parametrize(("release", "grid"), [("qr2", None), ("qr2", (9, 14)), ("qr2", (13, 20)), ("qr3", None)])
def test_wavelength_wcs_gives_the_wavelength_of_every_pixel(release, grid):
    options = {"release": release, "detector": 2, "size": 40, "origin": (1700, 300), "wave_grid": grid}
    hdus = written(level2_hdulist(**options))
    wcs = WCS(hdus["IMAGE"].header, fobj=hdus, key="W")
    wcs.sip = None
    x, y = np.meshgrid(np.arange(40.0), np.arange(40.0))
    wavelength, bandwidth = wcs.wcs_pix2world(x, y, 0)
    expected = make_frame(**options).grid.wavelengths(Box(1700, 1740, 300, 340))
    np.testing.assert_allclose(wavelength, expected, rtol=1e-6)
    assert np.all((wavelength / bandwidth > 39) & (wavelength / bandwidth < 44))
    along_y, along_x = np.ptp(wavelength, axis=0).min(), np.ptp(wavelength, axis=1).max()
    assert along_y > 3 * along_x
    assert np.all(np.diff(wavelength, axis=0) < 0)  # the map's first channel, the bluest, is at the top
    assert hdus["WCS-WAVE"].data["VALUES"].shape[1:3] == (grid or {"qr2": (11, 11), "qr3": (9, 9)}[release])[::-1]

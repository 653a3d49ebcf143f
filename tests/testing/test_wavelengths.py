"""Wavelengths of simulated files against the real spectral channels, which another product holds."""

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
from spherex_butler.testing.planes import wavelengths_of
from spherex_butler.testing.spectral_channels import channel_hdus

DATA = Path(__file__).parent / "data"
CHANNEL_MAP = np.loadtxt(DATA / "channel_map_every_16.txt", dtype=int)


@pytest.mark.parametrize("detector", DETECTORS)
def test_wavelengths_lie_in_the_real_spectral_channels(detector):
    channels = Table.read(DATA / "spectral_channels.ecsv")
    channels = channels[channels["DETECTOR"] == detector]
    wavelengths = wavelengths_of(make_frame(detector=detector))[7::16, 7::16]
    inside = (CHANNEL_MAP >= 1) & (CHANNEL_MAP <= 17)
    channel = CHANNEL_MAP[inside] - 1
    fits_in = (wavelengths[inside] >= np.asarray(channels["WL_MIN"])[channel]) & (
        wavelengths[inside] <= np.asarray(channels["WL_MAX"])[channel]
    )
    assert fits_in.mean() > 0.995


def test_simulated_channel_map_is_the_real_one():
    channels = channel_hdus(Box(0, 2040, 0, 2040))[0].data[7::16, 7::16]
    assert (channels == CHANNEL_MAP).mean() > 0.998
    assert np.abs(channels.astype(int) - CHANNEL_MAP).max() == 1


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_wavelength_wcs_gives_the_wavelength_of_every_pixel(release, detector):
    options = {"release": release, "detector": detector, "size": 40, "origin": (1700, 300)}
    hdus = written(level2_hdulist(**options))
    wcs = WCS(hdus["IMAGE"].header, fobj=hdus, key="W")
    wcs.sip = None
    x, y = np.meshgrid(np.arange(40.0), np.arange(40.0))
    wavelength, _ = wcs.wcs_pix2world(x, y, 0)
    np.testing.assert_allclose(wavelength, wavelengths_of(make_frame(**options)), rtol=1e-6)
    along_y, along_x = np.ptp(wavelength, axis=0).min(), np.ptp(wavelength, axis=1).max()
    assert along_y > 3 * along_x
    assert np.all(np.diff(wavelength, axis=0) < 0)  # the bluest is at the top

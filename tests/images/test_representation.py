"""What an image shows at a prompt: one line, and nothing is read for it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from http_server import serve
from hypothesis import given, settings
from hypothesis import strategies as st

from spherex_butler import SpectralImage
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.images.psf import DeferredPSF
from spherex_butler.images.wavelengths import WavelengthTable
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import make_spectral_image, write_level2


@pytest.mark.parametrize(("release", "form"), [("qr2", "6.6.0, form of QR2"), ("qr3", "7.1.0, form of QR3")])
def test_image_shows_what_it_is_of_and_what_it_has(release, form):
    image = make_spectral_image(release=release, obs_id="2025W51_1A_0684_2", detector=3, size=32)
    wavelength = image.wavelength.value
    assert repr(image) == str(image)
    assert repr(image) == (
        f"<SpectralImage 2025W51_1A_0684_2 D3, pipeline {form}, shape (32, 32), from pixel {image.origin} of the full "
        f"frame, in MJy / sr, {wavelength.min():.4g} to {wavelength.max():.4g} µm, with FLAGS, VARIANCE, ZODI, PSF, "
        "WCS-WAVE>"
    )


def test_what_is_not_there_is_not_shown(level2_path):
    image = SpectralImage.read(level2_path, planes=["FLAGS"])
    assert repr(image).endswith("in MJy / sr, with FLAGS>")
    assert "form of" not in repr(image)
    assert repr(SpectralImage(np.zeros((2, 3)))) == (
        "<SpectralImage of no observation, shape (2, 3), without unit, without other planes>"
    )
    named = SpectralImage(np.zeros((2, 3)), unit="Jy", header=fits.Header([("DETECTOR", 4)]))
    assert repr(named) == "<SpectralImage D4, shape (2, 3), in Jy, without other planes>"


def test_what_was_changed_is_shown():
    image = make_spectral_image(size=8)
    image.meta["OBSID"], image.meta["VERSION"] = "2026W20_1A_0001_1", "9.1"
    image.unit = "kJy / sr"
    shown = repr(image[2:4])
    assert "2026W20_1A_0001_1 D" in shown
    assert "pipeline 9.1, " in shown
    assert "shape (2, 8)" in shown
    assert "in kJy / sr" in shown


def test_nothing_of_a_remote_image_is_read(butler, tmp_path):
    path = write_level2(tmp_path, detector=3, size=64)
    with serve(path.parent) as served:
        (ref,) = ingest_files(butler, f"{served.url}/{path.name}", transfer="direct").ingested
        image = butler.get(ref, parameters={"bbox": (990, 1010, 990, 1010)})
        served.requests.clear()
        assert repr(image).endswith("with FLAGS, VARIANCE, ZODI, PSF (read on first use), WCS-WAVE>")
        assert not served.requests
        assert isinstance(image._psf, DeferredPSF)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9999))
@settings(deadline=None)
def test_range_of_wavelengths_is_that_of_the_pixels(x, y, width, height, seed):
    values = np.random.default_rng(seed).uniform(1, 5, (4, 3, 2))
    table = WavelengthTable([1, 15, 36], [1, 9, 20, 36], values)
    box = Box(x, x + width, y, y + height)
    grid = table.grid(box, 0)
    assert np.allclose(table.span(box), (grid.min(), grid.max()), rtol=1e-12)

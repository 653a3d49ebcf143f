"""What an image shows: at a prompt one line, for which nothing is read, and in a notebook a picture and numbers."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from http_server import serve
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spherex_butler import SpectralImage
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.images.psf import DeferredPSF
from spherex_butler.images.thumbnail import thumbnail
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


# In a notebook.


def rows_of(html: str) -> dict[str, str]:
    """Return the rows of the table in HTML: heading and text."""
    root = ET.fromstring(html)
    return {row[0].text: row[1].text for row in root.iter("tr")}


def picture_of(html: str) -> np.ndarray:
    """Return the picture in HTML: grey and opacity, the first row below."""
    encoded = re.search(r"data:image/png;base64,([^\"]+)", html)[1]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        assert (picture.format, picture.mode) == ("PNG", "LA")
        return np.asarray(picture)[::-1]


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_notebook_shows_what_it_is_of_and_its_numbers(release):
    image = make_spectral_image(release=release, obs_id="2025W51_1A_0684_2", detector=3, size=32)
    rows = rows_of(image._repr_html_())
    middle = image.wcs.pixel_to_world(15.5, 15.5)
    low, high = image.wavelength.value.min(), image.wavelength.value.max()
    assert rows["observation"] == "2025W51_1A_0684_2, detector 3"
    assert rows["pipeline"] == f"{image.version}, form of {release.upper()}"
    assert rows["size"] == f"32 × 32 pixels, from pixel {image.origin} of the full frame"
    assert rows["wavelengths"] == f"{low:.4g} to {high:.4g} µm"
    assert rows["middle"] == f"RA {middle.ra.deg:.5f}°, Dec {middle.dec.deg:+.5f}°"
    assert rows["brightness"].startswith(f"median {np.median(image.data[~image.mask]):.4g} MJy / sr; most from ")
    assert rows["pixels"] == f"{image.mask.mean():.2%} masked"
    assert rows["planes"] == "FLAGS, VARIANCE, ZODI, PSF, WCS-WAVE"


def test_notebook_has_a_picture_with_the_first_row_below():
    image = make_spectral_image(size=32)
    picture = picture_of(image._repr_html_())
    assert picture.shape == (32, 32, 2)
    np.testing.assert_array_equal(picture[..., 1] == 0, image.mask)
    shown = ~image.mask
    assert picture[..., 0][shown].argmax() == image.data[shown].argmax()
    order = np.argsort(image.data[shown])
    assert (np.diff(picture[..., 0][shown][order].astype(int)) >= 0).all()


def test_picture_of_a_large_image_is_small_and_averaged():
    values = np.zeros((2040, 1000))
    values[:1020] = 1
    mask = np.zeros(values.shape, bool)
    mask[:, 500:] = True
    png = thumbnail(values, mask)
    with Image.open(io.BytesIO(png)) as picture:
        found = np.asarray(picture)[::-1]
    assert found.shape == (160, 160, 2)
    assert len(png) < 10_000
    assert (found[:80, :80, 0] > found[80:, :80, 0].max()).all()
    assert (found[:, :80, 1] == 255).all()
    assert (found[:, 80:, 1] == 0).all()


def test_picture_keeps_the_shape_of_the_image():
    html = SpectralImage(np.arange(200.0).reshape(10, 20))._repr_html_()
    assert 'width="160" height="80"' in html
    assert picture_of(html).shape == (10, 20, 2)


@pytest.mark.parametrize("theme", ["color", "font-size"])
def test_text_has_the_look_of_the_page(theme):
    html = make_spectral_image(size=8)._repr_html_()
    assert f"{theme}:inherit" in html
    assert "background" not in html
    assert not re.search(r"color:\s*#", html)


def test_image_without_values_or_parts_is_shown():
    rows = rows_of(SpectralImage(np.full((2, 3), np.nan))._repr_html_())
    assert rows == {"size": "3 × 2 pixels", "brightness": "no pixel with a value", "pixels": "100.00% NaN"}
    assert "<img" not in SpectralImage(np.zeros((0, 3)))._repr_html_()


def test_what_is_damaged_is_told_and_the_rest_is_shown():
    image = make_spectral_image(size=8, obs_id="2025W51_1A_0684_2")
    image.meta["CTYPE1"] = "RA---XXX"
    image._headers.planes["FLAGS"].header["MP_HOT"] = 99
    del image.mask
    type(image).mask.forget(image)
    rows = rows_of(image._repr_html_())
    assert "celestial WCS" in rows["middle"]
    assert "MP_HOT is 99" in rows["pixels"]
    assert rows["observation"] == "2025W51_1A_0684_2, detector 1"


def test_text_from_headers_is_no_html():
    image = SpectralImage(np.zeros((2, 3)), header=fits.Header([("OBSID", "<script>alert(1)</script>")]))
    assert "<script>" not in image._repr_html_()
    assert rows_of(image._repr_html_())["observation"] == "<script>alert(1)</script>"


def test_picture_is_made_without_matplotlib(run_python):
    script = """
import sys
sys.modules["matplotlib"] = sys.modules["PIL"] = None
from spherex_butler.testing import make_spectral_image
print("data:image/png" in make_spectral_image(size=8)._repr_html_())
"""
    assert run_python(script).strip() == "True"


def test_notebook_shows_an_image_whose_wcs_is_broken():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = 0, 0
    shown = SpectralImage(np.ones((4, 5)), unit="Jy", wcs=wcs)._repr_html_()
    assert re.search("middle</th>.*singular", shown)
    assert "5 × 4 pixels" in shown

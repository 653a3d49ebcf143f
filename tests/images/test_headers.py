from __future__ import annotations

import io
import uuid

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from image_samples import cards

from spherex_butler import SpectralImage
from spherex_butler.images.headers import list_calibrations, read_calibrations
from spherex_butler.testing import make_spectral_image


@pytest.fixture
def image():
    return make_spectral_image(size=16, detector=3)


@pytest.fixture
def rewritten(tmp_path):
    def write(image):
        image.write(tmp_path / "x.fits", overwrite=True)
        return fits.open(io.BytesIO((tmp_path / "x.fits").read_bytes()))

    return write


def test_meta_is_the_image_header_and_what_only_the_primary_has(image):
    assert cards(image.meta)[: len(image.image_header)] == cards(image.image_header)
    assert list(image.meta)[len(image.image_header) :] == ["VERSION", "TELESCOP", "INSTRUME"]
    assert image.header is image.meta
    assert image.meta["EXTNAME"] == "IMAGE"


def test_looking_at_meta_changes_nothing_that_is_written(image, rewritten):
    before = [cards(hdu.header) for hdu in rewritten(image)]
    _ = image.meta
    assert [cards(hdu.header) for hdu in rewritten(image)] == before


def test_changed_meta_is_written(image, rewritten):
    image.meta["OBSERVER"] = ("me", "who")
    image.meta["DETECTOR"] = 5
    del image.meta["SPS_FLAGS"]
    image.meta["HIERARCH a long keyword"] = 2.5
    image.header.add_history("changed")
    with rewritten(image) as hdus:
        header = hdus["IMAGE"].header
        assert (header["OBSERVER"], header.comments["OBSERVER"]) == ("me", "who")
        assert (header["DETECTOR"], header["A LONG KEYWORD"], header["HISTORY"][-1]) == (5, 2.5, "changed")
        assert "SPS_FLAGS" not in header
        assert "VERSION" not in header
        assert "OBSERVER" not in hdus[0].header


def test_changed_cards_of_the_primary_header_go_back_there(image, rewritten):
    image.meta["TELESCOP"] = ("other", "a comment")
    del image.meta["INSTRUME"]
    with rewritten(image) as hdus:
        assert (hdus[0].header["TELESCOP"], hdus[0].header.comments["TELESCOP"]) == ("other", "a comment")
        assert "INSTRUME" not in hdus[0].header
        assert "TELESCOP" not in hdus["IMAGE"].header


def test_facts_follow_meta(image):
    image.meta["OBSID"] = "2025W51_1A_0684_3"
    image.meta["DETECTOR"] = 6
    image.meta["VERSION"] = "9.9.9"
    del image.meta["HISTORY"]
    assert (image.obs_id, image.detector, image.version, image.calibrations) == ("2025W51_1A_0684_3", 6, "9.9.9", {})


def test_changed_meta_stays_with_parts_and_copies(image):
    image.meta["OBSERVER"] = "me"
    image.meta["TELESCOP"] = "other"
    for other in (image[2:5], image.copy(), image.multiply(2), image.with_mask(bad=[])):
        assert (other.meta["OBSERVER"], other.meta["TELESCOP"]) == ("me", "other")
        assert other.primary_header["TELESCOP"] == "other"
        other.meta["OBSERVER"] = "you"
    assert image.meta["OBSERVER"] == "me"


def test_replaced_meta_is_written(image, rewritten):
    image.meta = {"OBSERVER": "me", "VERSION": "7.0.0"}
    with rewritten(image) as hdus:
        assert hdus["IMAGE"].header["OBSERVER"] == "me"
        assert "OBSID" not in hdus["IMAGE"].header
        assert hdus[0].header["VERSION"] == "7.0.0"
    assert (image.obs_id, image.detector) == (None, None)


def test_headers_handed_out_are_copies(image):
    image.image_header["OBSID"] = image.primary_header["VERSION"] = "x"
    _ = image.meta
    image.image_header["OBSID"] = image.primary_header["VERSION"] = "x"
    assert "x" not in {image.obs_id, image.version, image.meta["VERSION"]}


def test_image_without_headers_has_no_facts():
    image = SpectralImage(np.zeros((2, 2)), unit="Jy")
    assert (image.obs_id, image.detector, image.version, image.wcs) == (None, None, None, None)
    assert (image.calibrations, image.origin) == ({}, (0, 0))


def test_assigned_wcs_is_written(image, rewritten):
    wcs = image.wcs.deepcopy()
    wcs.wcs.crval += 0.25
    image.wcs = wcs
    with rewritten(image) as hdus:
        again = SpectralImage.from_hdulist(hdus)
        assert again.wcs.pixel_to_world(3, 4).separation(wcs.pixel_to_world(3, 4)) < 1 * u.mas
        assert again.wcs.sip is not None
        assert hdus["FLAGS"].header["CRVAL1"] == pytest.approx(wcs.wcs.crval[0])
    assert again.origin == image.origin
    assert np.array_equal(again.wavelength, image.wavelength)


def test_wcs_taken_away_is_written(image, rewritten):
    image.wcs = None
    with rewritten(image) as hdus:
        assert SpectralImage.from_hdulist(hdus).wcs is None
        assert hdus["IMAGE"].header["CRPIX1A"] == image.meta["CRPIX1A"]


def test_calibrations_come_from_history_of_several_of_a_type_the_last():
    first, second = (uuid.UUID(text) for text in ("0d47d467-abe7-4583-b55d-3e9357b06aae", "1" * 32))
    header = fits.Header()
    assert read_calibrations(header) == {}
    for value in (first, second, first, "not-a-uuid", "-" * 36, ""):
        header.add_history(f"[CALIB] dark {value}")
    assert list_calibrations(header) == [("dark", first), ("dark", second)]
    assert read_calibrations(header) == {"dark": second}

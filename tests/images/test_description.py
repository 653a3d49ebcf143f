from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.description import describe_image
from spherex_butler.testing.templates import image_template

FULL = (2040, 2040)
# s_region of the saved header's image in the archive's table (SIA2).
REGION = (
    "6.962852120551271 41.75009330770693 11.28249000497766 43.137330881450204 "
    "13.174643355147754 39.946653279470475 8.97915502445252 38.62459220149968"
)


@pytest.fixture
def header():
    return image_template().copy()


def described(header):
    return describe_image(LazyHeader(header), FULL)


def archive_corners():
    return SkyCoord(np.array(REGION.split(), float).reshape(4, 2) * u.deg)


def test_corners_of_the_real_header_are_the_archives_region(header):
    corners = SkyCoord(described(header).corners * u.deg)
    assert corners.separation(archive_corners()).max() < 1e-7 * u.deg


def test_real_header_describes_its_exposure(header):
    description = described(header)
    assert str(description.observation) == "2025W51_1A_0684_2"
    assert description.detector == 3
    assert description.expidn == description.expected_expidn == 202551101068423
    assert (description.begin, description.end) == (header["MJD-BEG"], header["MJD-END"])
    fields = description.fields
    assert fields["exposure_time"] == pytest.approx(113.5826, abs=1e-4)
    assert fields["target_name"] == f"SPS_{header['SPS_TARGET']}"
    assert fields["science_program"] == str(header["SPS_FLAGS"]).strip()
    assert fields["observation_reason"] == "survey"


def test_planned_pointing_lies_in_the_focal_plane(header):
    fields = described(header).fields
    boresight = SkyCoord(fields["tracking_ra"], fields["tracking_dec"], unit="deg")
    ecliptic = boresight.barycentricmeanecliptic
    assert ecliptic.lon.deg == pytest.approx(header["SPS_ELON"], abs=1e-6)
    assert ecliptic.lat.deg == pytest.approx(header["SPS_ELAT"], abs=1e-6)
    assert 3 * u.deg < boresight.separation(archive_corners()).min() + 3 * u.deg < 9 * u.deg
    assert 0 <= fields["sky_angle"] < 360


@pytest.mark.parametrize("keyword", ["OBSID", "DETECTOR", "MJD-BEG", "MJD-END"])
def test_missing_card_is_refused(header, keyword):
    del header[keyword]
    message = f"IMAGE header has no {keyword}; a Level 2 image has OBSID, DETECTOR, MJD-BEG, MJD-END"
    with pytest.raises(FormatError, match=message):
        described(header)


@pytest.mark.parametrize(
    ("keyword", "missing"),
    [
        ("XPOSURE", {"exposure_time"}),
        ("SPS_TARGET", {"target_name"}),
        ("SPS_FLAGS", {"science_program"}),
        ("NON_SURVEY", {"observation_reason"}),
        ("SPS_ELON", {"tracking_ra", "tracking_dec", "sky_angle"}),
        ("EXPIDN", set()),
    ],
)
def test_other_cards_may_be_missing(header, keyword, missing):
    complete = described(header).fields
    del header[keyword]
    fields = described(header).fields
    assert set(fields) == set(complete)
    assert {name for name, value in fields.items() if value is None} == missing


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"DETECTOR": 7}, "DETECTOR is 7; expected a number from 1 to 6"),
        ({"DETECTOR": "three"}, "DETECTOR is 'three'; expected a number from 1 to 6"),
        ({"MJD-BEG": 70000.0}, "MJD-BEG is 70000.0, MJD-END is .*; expected two MJD in order"),
        ({"MJD-BEG": 2460745.5, "MJD-END": 2460745.6}, "expected two MJD in order, at most a day apart"),
        ({"MJD-END": "later"}, "MJD-END is 'later'; expected a number"),
        ({"XPOSURE": "long"}, "XPOSURE is 'long'; expected a number"),
        ({"XPOSURE": -1.0}, "XPOSURE is -1.0; expected more than 0 and at most 86400 seconds"),
        ({"XPOSURE": 0}, "XPOSURE is 0; expected more than 0"),
        ({"XPOSURE": 1e308}, r"XPOSURE is 1e\+308; expected more than 0"),
        ({"CRVAL1": 1e308}, r"CRVAL1 is 1e\+308; expected degrees from -360 to 360"),
        ({"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL2": 1e3}, "CRVAL2 is 1000.0; expected degrees from -90"),
        ({"CRPIX1": 1e9}, "CRPIX1 is 1000000000.0; expected a pixel within 20000 of the image"),
        ({"PC1_1": 1e308}, "at most 10 degrees from corner to corner. Check CDELT, PC or CD"),
        ({"CDELT1": 1e308}, "at most 10 degrees from corner to corner"),
        ({"CDELT1": 1e-300}, "expected an image at least 1 arcsecond wide"),
        ({"A_0_2": 1e308}, "expected an image at least 1 arcsecond wide"),
        ({"RADESYS": "x"}, "has RADESYS='x' with CTYPE RA---TAN-SIP, DEC--TAN-SIP; expected a frame"),
        ({"SPS_EPA": "north"}, "SPS_EPA is 'north'; expected a number"),
        ({"SPS_ELAT": -90.5}, r"SPS_ELAT is -90\.5; expected a latitude from -90 to 90 degrees"),
        ({"OBSID": "2025W51"}, "'2025W51' is not an observation id"),
    ],
)
def test_card_of_another_kind_is_refused(header, cards, message):
    header.update(cards)
    with pytest.raises(FormatError, match=message):
        described(header)


@pytest.mark.parametrize("shape", [(), (16,), (0, 16), (16, 0), (2, 16, 16)])
def test_image_without_two_axes_of_pixels_is_refused(header, shape):
    with pytest.raises(FormatError, match=r"HDU 'IMAGE' has shape .*; expected two axes with pixels"):
        describe_image(LazyHeader(header), shape)


def test_whole_number_of_days_is_a_time(header):
    header["MJD-BEG"], header["MJD-END"] = 61000, 61001
    assert (described(header).begin, described(header).end) == (61000.0, 61001.0)


@pytest.mark.parametrize("latitude", [-89.9, -45.0, 0.0, 33.441208, 66.5, 89.9])
def test_pointing_is_that_of_astropys_transformation(header, latitude):
    for longitude, angle in ((0.0, 0.0), (22.5, 180.0), (200.0, 77.0), (359.9, 359.0)):
        header.update(SPS_ELON=longitude, SPS_ELAT=latitude, SPS_EPA=angle)
        fields = described(header).fields
        boresight = SkyCoord(longitude * u.deg, latitude * u.deg, frame=BarycentricMeanEcliptic())
        toward = boresight.directional_offset_by(angle * u.deg, 1 * u.arcmin).icrs
        found = SkyCoord(fields["tracking_ra"], fields["tracking_dec"], unit="deg")
        assert found.separation(boresight.icrs) < 1e-10 * u.deg
        expected = boresight.icrs.position_angle(toward)
        difference = (fields["sky_angle"] * u.deg - expected).wrap_at(180 * u.deg)
        assert abs(difference) < 1e-7 * u.deg  # that of the two positions has no more digits

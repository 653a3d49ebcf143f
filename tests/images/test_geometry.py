"""Where an image lies: what is read from a few cards is what astropy makes of the whole header."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.geometry import (
    celestial_wcs,
    corners_and_center,
    describe_corners,
    frame_origin,
    replace_celestial,
    sky_corners,
)
from spherex_butler.testing import level2_hdulist
from spherex_butler.testing.templates import image_template

FULL = (2040, 2040)
PIXELS = np.random.default_rng(1).uniform(-100, 2200, (200, 2))


def lazy(header: fits.Header) -> LazyHeader:
    return LazyHeader(header.tostring(endcard=False, padding=False).encode())


@pytest.fixture
def header() -> fits.Header:
    """The header of a real full frame."""
    return image_template().copy()


# The WCS.


def assert_same_wcs(found: WCS, expected: WCS) -> None:
    assert np.array_equal(found.all_pix2world(PIXELS, 0), expected.all_pix2world(PIXELS, 0))
    assert found.pixel_shape == expected.pixel_shape
    for name in ("radesys", "lonpole", "latpole"):
        assert getattr(found.wcs, name) == getattr(expected.wcs, name), name
    for name in ("a", "b", "ap", "bp", "crpix"):
        assert np.array_equal(getattr(found.sip, name, None), getattr(expected.sip, name, None)), name


@pytest.mark.parametrize("options", [{}, {"release": "qr3", "detector": 5}, {"size": 64, "origin": (100, 200)}])
def test_wcs_is_that_of_the_whole_header(options):
    header = level2_hdulist(**{"size": 32, **options})["IMAGE"].header
    assert_same_wcs(celestial_wcs(lazy(header)), WCS(header))


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"},
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"},
        {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CUNIT1": "deg", "CUNIT2": "deg"},
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": -0.001, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.001},
        {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "CUNIT1": "deg", "CUNIT2": "deg", "PV2_1": 1.0, "PV2_3": 0.1},
    ],
)
def test_any_other_wcs_is_read_too(cards):
    scale = {} if "CD1_1" in cards else {"CDELT1": -0.001, "CDELT2": 0.001}
    header = fits.Header({"NAXIS1": 30, "NAXIS2": 20, "CRPIX1": 15.0, "CRPIX2": 10.0, "CRVAL1": 40.0, "CRVAL2": 50.0})
    header.update({**cards, **scale})
    assert_same_wcs(celestial_wcs(lazy(header)), WCS(header))


def test_replaced_wcs_keeps_its_distortion_and_the_other_cards(header):
    def others():
        return [card.image for card in header.cards if card.keyword.startswith(("CRPIX1A", "CTYPE1W", "HISTORY"))]

    wcs, before = celestial_wcs(LazyHeader(header)), others()
    wcs.wcs.crval += 0.5
    replace_celestial(header, wcs)
    again = celestial_wcs(LazyHeader(header))
    assert again.pixel_to_world(5, 2000).separation(wcs.pixel_to_world(5, 2000)) < 1e-3 * u.arcsec
    assert others() == before


def test_header_without_wcs_has_no_place_on_the_sky(header):
    replace_celestial(header, None)
    assert celestial_wcs(lazy(header)) is None
    assert corners_and_center(lazy(header), FULL) is None
    assert describe_corners(None, FULL) == "which has no celestial WCS"
    with pytest.raises(FormatError, match="IMAGE header has no celestial WCS; expected CTYPE1 and CTYPE2"):
        sky_corners(None, FULL)


# The detector.


@pytest.mark.parametrize(("cards", "origin"), [({}, (0, 0)), ({"CRPIX1A": -1291.0, "CRPIX2A": -862.0}, (1292, 863))])
def test_origin_is_told_by_the_alternate_wcs(cards, origin):
    assert frame_origin(lazy(fits.Header(cards))) == origin


# The corners.


def test_corners_are_described_in_degrees(header):
    text = describe_corners(celestial_wcs(lazy(header)), FULL)
    assert text.startswith("corners at RA, Dec ")
    assert text.count(";") == 3


def separations(header: fits.Header, shape: tuple[int, int]) -> np.ndarray:
    """Return how far the corners are from where astropy puts them; degrees."""
    corners = np.array(corners_and_center(lazy(header), shape)[0])
    assert np.all((corners[:, 0] >= 0) & (corners[:, 0] < 360))
    return SkyCoord(corners, unit="deg").separation(sky_corners(WCS(header), shape)).deg


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_corners_are_astropys_everywhere_on_the_sky(release):
    header = level2_hdulist(size=32, release=release)["IMAGE"].header
    rng = np.random.default_rng(2)
    places = zip(rng.uniform(0, 360, 20), np.degrees(np.arcsin(rng.uniform(-1, 1, 20))), strict=True)
    for ra, dec in [*places, (0, 0), (359.9999, 10), (0, 90), (17, -90)]:
        header.update(CRVAL1=ra, CRVAL2=dec, LATPOLE=dec)
        assert separations(header, FULL).max() < 1e-9


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "RA---SIN-SIP", "CTYPE2": "DEC--SIN-SIP"},
        {"LONPOLE": 170.0},
        {"RADESYS": "FK5"},
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
        {"CRVAL1": -10.0},
        {"PV1_1": 0.0},
        {"A_1_2": 1e-7, "A_3_3": 1e-16},
    ],
)
def test_corners_of_another_projection_are_astropys_too(cards):
    header = level2_hdulist(size=32)["IMAGE"].header
    header.update(cards)
    if "GLON-TAN" in cards.values():
        del header["RADESYS"], header["A_ORDER"], header["B_ORDER"], header["AP_ORDER"], header["BP_ORDER"]
    assert separations(header, (32, 32)).max() < 1e-9


def test_corners_that_are_nowhere_are_an_error(header):
    header.update(CTYPE1="RA---SIN-SIP", CTYPE2="DEC--SIN-SIP", CDELT1=1e3, CDELT2=1e3)  # of half a sphere
    with pytest.raises(FormatError, match=r"WCS puts the image's corners at .*nan.*; expected finite positions"):
        corners_and_center(lazy(header), FULL)

"""Where an image lies: the WCS made from its own cards is the one astropy makes from the whole header."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.geometry import celestial_wcs, corner_degrees, describe_corners, frame_origin, sky_corners
from spherex_butler.testing import level2_hdulist

PIXELS = np.random.default_rng(1).uniform(-100, 2200, (200, 2))


def lazy(header: fits.Header) -> LazyHeader:
    return LazyHeader(header.tostring(endcard=False, padding=False).encode())


def assert_same_wcs(found: WCS, expected: WCS) -> None:
    assert np.array_equal(found.all_pix2world(PIXELS, 0), expected.all_pix2world(PIXELS, 0))
    assert found.pixel_shape == expected.pixel_shape
    assert (found.wcs.radesys, found.wcs.lonpole, found.wcs.latpole) == (
        expected.wcs.radesys,
        expected.wcs.lonpole,
        expected.wcs.latpole,
    )
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


def test_header_without_wcs_has_none():
    assert celestial_wcs(lazy(fits.Header({"NAXIS1": 30}))) is None


def test_corners_need_a_wcs():
    with pytest.raises(FormatError, match="no celestial WCS; expected CTYPE1 and CTYPE2"):
        sky_corners(None, (10, 10))


def test_corners_are_told_in_degrees():
    header = level2_hdulist(size=32)["IMAGE"].header
    text = describe_corners(celestial_wcs(lazy(header)), (32, 32))
    assert text.startswith("corners at RA, Dec ")
    assert text.count(";") == 3


def test_image_without_the_alternate_wcs_is_the_full_frame():
    assert frame_origin(lazy(fits.Header())) == (0, 0)


def test_origin_of_a_cutout():
    assert frame_origin(lazy(level2_hdulist(size=64, origin=(100, 200))["IMAGE"].header)) == (100, 200)


def separations(header: fits.Header, shape: tuple[int, int]) -> np.ndarray:
    """Return how far the corners are from where astropy puts them; degrees."""
    corners = np.array(corner_degrees(lazy(header), shape))
    assert np.all((corners[:, 0] >= 0) & (corners[:, 0] < 360))
    return SkyCoord(corners, unit="deg").separation(sky_corners(WCS(header), shape)).deg


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_corners_are_astropys_everywhere_on_the_sky(release):
    header = level2_hdulist(size=32, release=release)["IMAGE"].header
    rng = np.random.default_rng(2)
    latitudes = np.degrees(np.arcsin(rng.uniform(-1, 1, 60)))
    for ra, dec in [*zip(rng.uniform(0, 360, 60), latitudes, strict=True), (0, 0), (359.9999, 10), (0, 90), (17, -90)]:
        header.update(CRVAL1=ra, CRVAL2=dec, LATPOLE=dec)
        assert separations(header, (2040, 2040)).max() < 1e-9


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "RA---SIN-SIP", "CTYPE2": "DEC--SIN-SIP"},
        {"LONPOLE": 170.0},
        {"RADESYS": "FK5"},
        {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CDELT1": 3600.0, "CDELT2": 3600.0},
        {"PV1_1": 0.0},
        {"CDELT1": -2.0},
        {"A_1_2": 1e-7, "A_3_3": 1e-16},
    ],
)
def test_corners_of_another_projection_are_astropys_too(cards):
    header = level2_hdulist(size=32)["IMAGE"].header
    header.update(cards)
    assert separations(header, (32, 32)).max() < 1e-9


def test_image_without_wcs_has_no_corners():
    assert corner_degrees(lazy(fits.Header({"NAXIS1": 30})), (10, 10)) is None


def test_corners_that_are_nowhere_are_an_error():
    header = level2_hdulist(size=32)["IMAGE"].header
    header.update(CTYPE1="RA---SIN-SIP", CTYPE2="DEC--SIN-SIP", CDELT1=1e5)
    with pytest.raises(FormatError, match=r"The WCS puts the image's corners at .*; expected finite positions"):
        corner_degrees(lazy(header), (32, 32))

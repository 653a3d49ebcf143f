"""Which pixels a cutout holds: as astropy's own cutouts, or an error that says what is wrong."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import Cutout2D, NoOverlapError
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from spherex_butler.errors import ParameterError, SpherexButlerWarning
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.cutouts import requested_box
from spherex_butler.images.geometry import celestial_wcs
from spherex_butler.testing.templates import image_template

BOUNDS = Box(100, 140, 200, 230)  # 40 columns, 30 rows
FULL = Box(0, 2040, 0, 2040)


@pytest.fixture(scope="module")
def wcs():
    return celestial_wcs(LazyHeader(image_template()))


def box_of(**parameters):
    return requested_box(parameters, bounds=BOUNDS)


def halves(low, high):
    return st.integers(2 * low, 2 * high).map(lambda n: n / 2)


sides = st.integers(1, 90)


@pytest.mark.filterwarnings("ignore:Only .* of the requested box:spherex_butler.errors.SpherexButlerWarning")
@given(
    st.tuples(halves(-60, 100) | st.floats(-60, 100), halves(-60, 100) | st.floats(-60, 100)),
    sides | st.tuples(sides, sides),
)
def test_trimmed_box_is_that_of_cutout2d(position, size):
    data = np.arange(30 * 40).reshape(30, 40)
    try:
        expected = Cutout2D(data, position, size, mode="trim").data
    except NoOverlapError:
        expected = None
    center = (position[0] + BOUNDS.x_min, position[1] + BOUNDS.y_min)
    if expected is None:
        with pytest.raises(ParameterError, match="lies wholly outside the image"):
            box_of(center=center, size=size)
        return
    box = box_of(center=center, size=size)
    assert np.array_equal(data[box.shifted(-100, -200).slices], expected)


@pytest.mark.parametrize("size", [2.5, 3.5, 2.4999, np.float32(4.0), 7 * u.pix, [3.5, 4.5] * u.pix])
def test_fractional_size_is_rounded_as_by_cutout2d(size):
    data = np.zeros((30, 40))
    expected = Cutout2D(data, (20, 15), size).data.shape
    assert box_of(center=(120, 215), size=size).shape == expected


@pytest.mark.parametrize("size", [61.5 * u.arcsec, 0.01 * u.deg, [30, 90] * u.arcsec])
@pytest.mark.parametrize("offset", [0, 500, 1400])
def test_sky_cutout_is_that_of_cutout2d(wcs, size, offset):
    center = wcs.pixel_to_world(1020 + offset / 2, 1020 - offset / 1.5)
    expected = Cutout2D(np.broadcast_to(0, (2040, 2040)), center, size, wcs=wcs).bbox_original
    box = requested_box({"center": center, "size": size}, bounds=FULL, wcs=wcs)
    assert ((box.y_min, box.y_max - 1), (box.x_min, box.x_max - 1)) == expected


def test_height_comes_before_width():
    assert box_of(center=(120, 215), size=(4, 6)) == Box(117, 123, 213, 217)


def test_sky_position_in_another_frame(wcs):
    center = wcs.pixel_to_world(300, 400)
    boxes = [requested_box({"center": c, "size": 9}, bounds=FULL, wcs=wcs) for c in (center, center.galactic)]
    assert boxes[0] == boxes[1] == Box(296, 305, 396, 405)


def test_no_parameters_ask_for_no_box():
    assert requested_box({"mode": "strict", "bbox": None}, bounds=BOUNDS) is None


@pytest.mark.parametrize("bbox", [(101, 110, 201, 205), [101, 110, 201, 205], np.array([101, 110, 201, 205])])
def test_corners_are_half_open_full_frame_pixels(bbox):
    box = box_of(bbox=bbox)
    assert (box, box.shape, box.slices) == (Box(101, 110, 201, 205), (4, 9), (slice(201, 205), slice(101, 110)))


def test_box_may_be_given_as_such():
    assert box_of(bbox=Box(90, 110, 190, 205)) == Box(100, 110, 200, 205)


def test_strict_takes_a_box_inside_and_refuses_one_partly_outside():
    assert box_of(bbox=(100, 140, 200, 230), mode="strict") == BOUNDS
    match = (
        r"requested box \[x 99:110, y 200:210\] lies partly outside the image, box \[x 100:140, y 200:230\]; "
        r"mode='trim' would return box \[x 100:110, y 200:210\]"
    )
    with pytest.raises(ParameterError, match=match):
        box_of(bbox=(99, 110, 200, 210), mode="strict")


def test_wholly_outside_names_the_footprint():
    with pytest.raises(ParameterError, match=r"lies wholly outside the image, box \[x 100:.*\], at the zenith"):
        requested_box({"bbox": (0, 9, 0, 9)}, bounds=BOUNDS, footprint=lambda: "at the zenith")


@pytest.mark.parametrize("distance", [3, 5, 10, 30, 60, 89, 91, 120, 179, 180])
@pytest.mark.parametrize("angle", [0, 77, 200])
def test_center_anywhere_else_on_the_sky_is_wholly_outside(wcs, distance, angle):
    # The inverse of the distortion diverges there, and the projection has no such points beyond 90 deg.
    center = wcs.pixel_to_world(1020, 1020).directional_offset_by(angle * u.deg, distance * u.deg)
    for bounds, own in ((FULL, wcs), (Box(2000, 2040, 0, 40), wcs[:40, 2000:])):
        with pytest.raises(ParameterError, match=r"wholly outside the image, .*the footprint"):
            requested_box({"center": center, "size": 9}, bounds=bounds, wcs=own, footprint=lambda: "the footprint")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode": "partial"}, "mode='partial' is not known; expected 'trim' or 'strict'"),
        ({"bbox": (0, 1, 0, 1), "size": 3}, "bbox cannot be combined with center and size"),
        ({"size": 3}, "size was given without center; a cutout needs both"),
        ({"center": (1, 2)}, "center was given without size; a cutout needs both"),
        *(
            ({"bbox": bad}, "is not four whole numbers")
            for bad in ((0, 1.5, 0, 2), (0, np.inf, 0, 2), (0, np.nan, 0, 2))
        ),
        *(({"bbox": bad}, rf"bbox={bad!r} is not four whole numbers") for bad in ("1234", 5)),
        ({"bbox": (110, 110, 200, 210)}, r"box \[x 110:110, y 200:210\] holds no pixel: each maximum must be above"),
        ({"bbox": (110, 105, 200, 210)}, "holds no pixel"),
        ({"center": (1, 2, 3), "size": 3}, r"center=\(1, 2, 3\) is neither a SkyCoord nor a pixel"),
        ({"center": "here", "size": 3}, "center='here' is neither a SkyCoord nor a pixel"),
        ({"center": (np.nan, 2), "size": 3}, r"center=.*nan.* lies wholly outside the image, box \[x 100"),
        ({"center": (np.inf, 2), "size": 3}, "lies wholly outside the image"),
        ({"center": (120, 210), "size": 0}, r"size=0 is \[0. 0.\] pixels; expected at least one"),
        ({"center": (120, 210), "size": -4}, "size=-4 is .* pixels; expected at least one"),
        (
            {"center": (120, 210), "size": np.nan},
            r"size=nan is \[nan nan\] pixels; expected at least one, and a finite",
        ),
        ({"center": (120, 210), "size": np.inf}, "expected at least one, and a finite number"),
        ({"center": (120, 210), "size": (1, 2, 3)}, r"size=\(1, 2, 3\) is neither an angle nor a number of pixels"),
        *(
            ({"center": (120, 210), "size": bad}, "has shape .*; expected one side, or height and width")
            for bad in ([[1, 2]], [[1], [2]] * u.arcmin)
        ),
        ({"center": (120, 210), "size": "big"}, "size='big' is neither an angle nor a number of pixels"),
        ({"center": (120, 210), "size": 3 * u.s}, "has unit s; expected an angle or pixels"),
        ({"center": (120, 210), "size": 3 * u.deg}, "size as an angle needs an image with a celestial WCS.*; use bbox"),
        ({"center": SkyCoord(1, 2, unit="deg"), "size": 3}, "center on the sky needs an image with a celestial WCS"),
        ({"center": SkyCoord([1, 2], [1, 2], unit="deg"), "size": 3}, "center holds 2 positions; a cutout has one"),
    ],
)
def test_malformed_parameters_say_what_is_wrong(parameters, message):
    with pytest.raises(ParameterError, match=message):
        box_of(**parameters)


def test_wcs_without_a_sky_is_no_help():
    spectral = WCS({"CTYPE1": "WAVE", "CRPIX1": 1.0, "CDELT1": 1.0})
    with pytest.raises(ParameterError, match="needs an image with a celestial WCS"):
        requested_box({"center": SkyCoord(1, 2, unit="deg"), "size": 3}, bounds=BOUNDS, wcs=spectral)


# Numbers that were probably meant in degrees.


@pytest.mark.parametrize(("center", "size"), [((100, 200), (41, 51)), ((95, 215), 20), ((120, 215), (60, 80))])
def test_center_of_which_a_quarter_or_more_is_in_the_image_does_not_warn(center, size):
    assert box_of(center=center, size=size).size >= np.prod(size * np.ones(2)) / 4


@pytest.mark.parametrize(("center", "share"), [((94, 215), "20.0%"), ((94, 195), "5.0%")])
def test_center_of_which_less_than_a_quarter_is_in_the_image_warns(center, share):
    message = rf"^Only {share} of the requested box \[.*\] is in the image. center=\({center[0]}, {center[1]}\) is in "
    with pytest.warns(SpherexButlerWarning, match=message + "pixels, not degrees: pass a SkyCoord for a position on"):
        box_of(center=center, size=20)


@pytest.mark.parametrize("corner", [(0, 0), (5, 7)])
def test_center_that_is_in_the_image_as_degrees_warns(wcs, corner):
    position = wcs.pixel_to_world(50, 60)
    center = (float(position.ra.deg), float(position.dec.deg))
    bounds = Box(0, 100, 0, 100).shifted(*corner)  # pixel (7, 42) is in either
    message = r"not degrees: pass a SkyCoord .* As RA and Dec it is in this image, at pixel \({}, {}\)"
    with pytest.warns(SpherexButlerWarning, match=message.format(50 + corner[0], 60 + corner[1])):
        box = requested_box({"center": center, "size": 3}, bounds=bounds, wcs=wcs[:100, :100])
    assert box.shape == (3, 3)


@pytest.mark.parametrize("center", [(300, 40), (359, 89), (400, 41), (10.7, 95), (12.5, 80.25)])
def test_center_that_is_elsewhere_as_degrees_is_in_pixels(wcs, center):
    assert requested_box({"center": center, "size": 9}, bounds=FULL, wcs=wcs).shape == (9, 9)


def test_box_and_sky_position_do_not_warn(wcs):
    assert box_of(bbox=(0, 101, 0, 201)) == Box(100, 101, 200, 201)
    assert requested_box({"center": wcs.pixel_to_world(-9, 10), "size": 20}, bounds=FULL, wcs=wcs).shape[0] == 20


def test_center_wholly_outside_says_that_it_is_in_pixels(wcs):
    match = r"wholly outside the image, .*\. center=\(10.6, 41.2\) is in pixels, not degrees: pass a SkyCoord [^.]*\.$"
    with pytest.raises(ParameterError, match=match):
        requested_box({"center": (10.6, 41.2), "size": 9}, bounds=BOUNDS, wcs=wcs)
    with pytest.raises(ParameterError, match=r"wholly outside the image, box \[x 100:140, y 200:230\]\.$"):
        requested_box({"bbox": (0, 9, 0, 9)}, bounds=BOUNDS)

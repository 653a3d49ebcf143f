"""Wavelengths and kernels at positions: pixels and places on the sky, inside an image and outside of it."""

from __future__ import annotations

import copy
import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import GCRS, SkyCoord
from astropy.io import fits
from astropy.utils.masked import Masked
from astropy.wcs import WCS

from spherex_butler import SpectralImage
from spherex_butler.errors import ParameterError
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.psf import SpectralImagePSF
from spherex_butler.testing import make_spectral_image

ORIGIN = (660, 700)
SIDE = 48
EDGES = [(-0.5, -0.5), (47.5, 47.5), (-0.5, 47.5)]
BEYOND = [(-0.51, 0), (0, 47.51), (3, 50000), (-1, -1), (ORIGIN[0] + 3, ORIGIN[1] + 3), (np.nan, 0), (0, -np.inf)]


@pytest.fixture(scope="module", params=["qr2", "qr3"])
def image(request):
    return make_spectral_image(release=request.param, detector=3, size=SIDE, origin=ORIGIN)


ASKED = {
    "wavelength": lambda image, *position, **options: image.wavelength_at(*position, **options),
    "bandwidth": lambda image, *position, **options: image.bandwidth_at(*position, **options),
    "kernel": lambda image, *position, **options: image.psf.at(*position, **options),
    "detector kernel": lambda image, *position, **options: image.psf.detector_kernel(*position, **options),
}


@pytest.fixture(params=ASKED)
def ask(request, image):
    """Ask an image, by default the one of the test's module, about positions."""

    def asked(*position, of=image, **options):
        return ASKED[request.param](of, *position, **options)

    return asked


@pytest.mark.parametrize("position", EDGES)
def test_image_reaches_to_the_outer_edges_of_its_pixels(ask, position):
    assert np.isfinite(ask(*position)).all()


@pytest.mark.parametrize("position", BEYOND)
def test_position_outside_is_refused_or_nan(ask, position):
    with pytest.raises(ParameterError) as caught:
        ask(*position)
    assert str(caught.value) == (
        f"Pixel ({position[0]:.6g}, {position[1]:.6g}) is outside the image, whose shape is (48, 48) and whose first "
        "pixel is (660, 700) of the full frame: x runs from -0.5 to 47.5, y from -0.5 to 47.5. Leave such positions "
        "out, or pass outside='nan' to get NaN for them."
    )
    assert np.isnan(ask(*position, outside="nan")).all()


def test_zone_outside_is_refused(image):
    with pytest.raises(ParameterError, match=r"Pixel \(48, 0\) is outside the image"):
        image.psf.zone(SIDE, 0)


def test_positions_inside_and_outside_can_be_mixed(ask):
    x, y = [3, -4, 7, np.nan], [[5], [99]]
    values = ask(x, y, outside="nan")
    assert values.shape[:2] == (2, 4)
    inside = np.array([[True, False, True, False], [False] * 4])
    assert np.array_equal(np.isfinite(values).reshape(8, -1).all(axis=1), inside.ravel())
    assert np.isnan(values[~inside]).all()
    for column in (0, 2):
        assert np.array_equal(values[0, column], ask(x[column], 5))
    with pytest.raises(ParameterError, match=r"Pixel \(-4, 5\) and 5 more of 8 positions are outside the image"):
        ask(x, y)


def test_full_frame_image_says_only_its_shape():
    image = make_spectral_image(size=8, origin=(0, 0))
    with pytest.raises(ParameterError, match=r"outside the image, whose shape is \(8, 8\): x runs from -0.5 to 7.5"):
        image.wavelength_at(8, 3)


def test_position_on_the_sky_is_that_of_its_pixel(ask, image):
    x, y = np.array([3.25, 40.0, 0.0]), np.array([7.5, 12.0, 47.0])
    sky = image.wcs.pixel_to_world(x, y)
    expected = ask(x, y)
    assert np.allclose(ask(sky), expected, rtol=1e-4, atol=1e-6)
    assert np.allclose(ask(sky.galactic), expected, rtol=1e-4, atol=1e-6)
    assert np.allclose(ask(sky[1]), expected[1], rtol=1e-4, atol=1e-6)
    assert ask(sky.reshape(3, 1)).shape == (3, 1, *expected.shape[1:])


def test_corners_on_the_sky_are_inside(ask, image):
    assert np.isfinite(ask(image.footprint)).all()
    pixel = image[7:8, 9:10]
    assert np.isfinite(ask(pixel.footprint, of=pixel)).all()


def test_zone_takes_a_position_on_the_sky(image):
    sky = image.wcs.pixel_to_world([3, 40], [7, 12])
    assert image.psf.zone(sky).tolist() == [image.psf.zone(3, 7), image.psf.zone(40, 12)]
    assert type(image.psf.zone(sky[0])) is int


@pytest.mark.parametrize("distance", [0.1, 1, 2, 3, 5, 30, 89, 91, 180])
def test_position_elsewhere_on_the_sky_is_outside(ask, image, distance):
    inside = image.wcs.pixel_to_world(20, 20)
    away = inside.directional_offset_by(np.arange(0, 360, 45) * u.deg, distance * u.deg)
    with pytest.raises(ParameterError, match=r"The position RA, Dec [-\d.]+ [-\d.]+ \(pixel .*\) and 7 more of 8 pos"):
        ask(away)
    with pytest.raises(ParameterError, match=r"The position RA, Dec [-\d.]+ [-\d.]+ \(pixel .*\) is outside the image"):
        ask(away[0])
    mixed = SkyCoord([inside.ra, *away.ra], [inside.dec, *away.dec])
    values = ask(mixed, outside="nan")
    assert np.isfinite(values[0]).all()
    assert np.isnan(values[1:]).all()


def test_distance_from_the_earth_does_not_move_a_position(ask, image):
    sky = image.wcs.pixel_to_world([3, 40], [7, 12]).transform_to(GCRS(obstime="2025-12-19"))
    near = SkyCoord(sky.ra, sky.dec, distance=[0.01, 0.5] * u.au, frame=GCRS(obstime="2025-12-19"))
    assert np.allclose(ask(near), ask(sky), rtol=1e-6)


def test_masked_position_is_outside(ask, image):
    sky = image.wcs.pixel_to_world([3, 40], [7, 12])
    masked = SkyCoord(Masked(sky.ra.deg, mask=[False, True]) * u.deg, sky.dec)
    values = ask(masked, outside="nan")
    assert np.array_equal(values[0], ask(sky)[0])
    assert np.isnan(values[1]).all()
    with pytest.raises(ParameterError, match="is outside the image"):
        ask(masked)


def test_no_position_of_a_wide_sky_is_taken_for_one_inside(image):
    rng = np.random.default_rng(3)
    sky = SkyCoord(rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000))), unit="deg")
    center = image.wcs.pixel_to_world(23.5, 23.5)
    near = center.directional_offset_by(rng.uniform(0, 360, 3000) * u.deg, rng.uniform(0.06, 4, 3000) * u.deg)
    assert np.isnan(image.wavelength_at(sky[sky.separation(center) > 0.06 * u.deg], outside="nan")).all()
    assert np.isnan(image.wavelength_at(near, outside="nan")).all()


def test_wcs_that_is_assigned_counts(ask, image):
    moved = image.copy()
    sky = image.wcs.pixel_to_world(10, 10)
    before = ask(sky, of=moved)
    wcs = image.wcs.deepcopy()
    wcs.wcs.crpix += 20
    if wcs.sip is not None:
        wcs.sip = None
    moved.wcs = wcs
    x, y = wcs.world_to_pixel(sky)
    assert np.allclose(ask(sky, of=moved), ask(x, y), rtol=1e-9)
    assert not np.array_equal(ask(sky, of=moved), before)
    del moved.wcs
    assert np.array_equal(ask(sky, of=moved), before)
    moved.wcs = None
    with pytest.raises(ParameterError, match=r"A position on the sky needs an image with a celestial WCS.*use pixels"):
        ask(sky, of=moved)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda kept: pickle.loads(pickle.dumps(kept))])
def test_copies_know_their_frame(ask, image, duplicate):
    sky = image.wcs.pixel_to_world(10, 10)
    expected = ask(sky)
    assert np.array_equal(ask(sky, of=duplicate(image)), expected)
    psf = duplicate(image.psf)
    assert np.array_equal(psf.at(sky), image.psf.at(sky))
    with pytest.raises(ParameterError, match="outside the image"):
        psf.at(SIDE, 0)


def test_cutout_has_its_own_pixels(ask, image):
    part = image[10:20, 30:44]
    sky = image.wcs.pixel_to_world(33, 12)
    assert np.allclose(ask(sky, of=part), ask(sky), rtol=1e-4, atol=1e-6)
    assert np.array_equal(ask(3, 2, of=part), ask(33, 12))
    with pytest.raises(ParameterError, match=r"shape is \(10, 14\) and whose first pixel is \(690, 710\)"):
        ask(14, 2, of=part)
    assert np.isfinite(ask(image.wcs.pixel_to_world(5, 5))).all()  # the whole still has its own


def test_psf_given_to_an_image_follows_that_image(image):
    part = image[10:20, 10:20]
    other = SpectralImage(np.zeros((5, 5)), unit="Jy", psf=image.psf)
    with pytest.raises(ParameterError, match=r"shape is \(5, 5\)"):
        other.psf.at(9, 9)
    assert image.psf.at(9, 9).shape == part.psf.at(9, 9).shape
    assert image.psf is image.psf
    other.psf.swapped = True
    assert (other.psf.swapped, image.psf.swapped) == (True, False)


def test_psf_of_its_own_reaches_as_far_as_its_zones():
    cards = [("XCTR_1", 50.0), ("YCTR_1", 50.0), ("XWID_1", 101.0), ("YWID_1", 101.0)]
    psf = SpectralImagePSF(np.ones((1, 5, 5), "f4"), LazyHeader(fits.Header(cards)), origin=(10, 20))
    assert psf.at(-10.5, 80.5).shape == (5, 5)
    with pytest.raises(
        ParameterError, match=r"Pixel \(92, 0\) is outside the zones of this PSF: x runs from -11 to 91"
    ):
        psf.at(92, 0)
    assert np.isnan(psf.detector_kernel([92, 0], 0, outside="nan")).all(axis=(1, 2)).tolist() == [True, False]
    with pytest.raises(ParameterError, match=r"This PSF belongs to no image, whose WCS would tell the pixel"):
        psf.at(SkyCoord(10, 41, unit="deg"))


@pytest.mark.parametrize(
    ("position", "options", "message"),
    [
        ((3,), {}, "x=3 was given without y; expected pixels x and y, or a SkyCoord"),
        ((SkyCoord(10, 41, unit="deg"), 4), {}, "y=4 was given with a SkyCoord, which stands for x and y"),
        ((10.6 * u.deg, 41.3 * u.deg), {}, "x is in deg; expected pixels, or a SkyCoord for a position on the sky"),
        ((3, 4 * u.um), {}, "y is in um; expected pixels"),
        (("here", 4), {}, "x='here' is no number of pixels, nor an array of such"),
        (([1, 2, 3], [1, 2]), {}, r"x and y have shapes \(3,\) and \(2,\); expected one shape"),
        ((3, 4), {"outside": "clip"}, r"outside='clip' is not known; expected one of \['raise', 'nan'\]"),
    ],
)
def test_what_is_no_position_is_refused(ask, position, options, message):
    with pytest.raises(ParameterError, match=message):
        ask(*position, **options)


def test_pixels_may_have_their_unit(ask):
    assert np.array_equal(ask(3 * u.pix, [4, 5] * u.pix), ask(3, [4, 5]))


def test_image_without_wcs_takes_pixels(image):
    plain = SpectralImage(image.data, header=image.image_header, wavelengths=image.wavelength_table, wcs=WCS(naxis=2))
    assert plain.wavelength_at(3, 4) == image.wavelength_at(3, 4)
    with pytest.raises(ParameterError, match="A position on the sky needs an image with a celestial WCS"):
        plain.wavelength_at(SkyCoord(10, 41, unit="deg"))

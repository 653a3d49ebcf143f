from __future__ import annotations

import copy
import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D, NDData
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import assert_same

from spherex_butler import SpectralImage
from spherex_butler.errors import ParameterError
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.testing import level2_hdulist, make_spectral_image

ORIGIN = (1500, 300)
ARRAYS = ("data", "variance", "flags", "zodi", "mask")
COPIES = [SpectralImage.copy, copy.copy, copy.deepcopy, lambda image: pickle.loads(pickle.dumps(image))]


@pytest.fixture(scope="module", params=["qr2", "qr3"])
def image(request):
    return make_spectral_image(release=request.param, detector=3, size=48, origin=ORIGIN)


def assert_part(part, image, box):
    """Check that every part of an image is that of a box of its own pixels."""
    rows, columns = np.mgrid[box.slices]
    for name in ARRAYS:
        assert np.array_equal(getattr(part, name), getattr(image, name)[box.slices]), name
    assert np.array_equal(part.uncertainty.array, image.variance[box.slices])
    assert part.origin == (image.origin[0] + box.x_min, image.origin[1] + box.y_min)
    assert part.box == Box.of_shape(box.shape, part.origin)
    sky, own_sky = (
        image.wcs.pixel_to_world(columns, rows),
        part.wcs.pixel_to_world(columns - box.x_min, rows - box.y_min),
    )
    assert sky.separation(own_sky).max() < 1e-6 * u.arcsec
    assert np.allclose(part.wavelength.value, image.wavelength_at(columns, rows).value, rtol=0, atol=1e-12)
    assert np.allclose(part.bandwidth.value, image.bandwidth_at(columns, rows).value, rtol=0, atol=1e-12)
    assert np.array_equal(part.psf.at(0, 0), image.psf.at(box.x_min, box.y_min))
    wave = part.spectral_wcs.pixel_to_world_values(0, 0)
    assert np.allclose(wave, image.spectral_wcs.pixel_to_world_values(box.x_min, box.y_min), rtol=0, atol=1e-9)
    assert (part.meta["NAXIS1"], part.meta["NAXIS2"]) == box.shape[::-1]
    assert (part.unit, part.obs_id, part.version) == (image.unit, image.obs_id, image.version)
    assert part.footprint[0].separation(image.wcs.pixel_to_world(box.x_min - 0.5, box.y_min - 0.5)) < 1e-6 * u.arcsec


def test_it_is_a_ccddata(image):
    assert isinstance(image, CCDData)
    assert image.unit == u.MJy / u.sr
    assert image.uncertainty.unit == image.unit**2
    assert image.uncertainty.parent_nddata is image
    assert "SpectralImage" in repr(image)


def test_facts_of_the_header(image):
    assert (image.obs_id, image.detector, image.origin) == (image.meta["OBSID"], 3, ORIGIN)
    assert image.version == image.primary_header["VERSION"]
    assert len(image.calibrations) > 5
    assert len(image.footprint) == 4


def test_everything_is_in_memory_of_its_own(level2_path, tmp_path):
    path = tmp_path / "x.fits"
    path.write_bytes(level2_path.read_bytes())
    image = SpectralImage.read(path)
    path.write_bytes(b"")
    path.unlink()
    assert_same(image, SpectralImage.read(level2_path))
    for name in ("data", "variance", "flags", "zodi"):
        assert getattr(image, name).flags.writeable
        assert getattr(image, name).dtype.isnative


# Parts of it.


@given(st.integers(0, 47), st.integers(0, 47), st.integers(1, 48), st.integers(1, 48))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_slice_is_consistent(image, x, y, width, height):
    box = Box(x, min(x + width, 48), y, min(y + height, 48))
    assert_part(image[box.slices], image, box)


@pytest.mark.filterwarnings("ignore:Only .* of the requested box:spherex_butler.errors.SpherexButlerWarning")
@given(st.integers(-30, 70), st.integers(-30, 70), st.tuples(st.integers(1, 60), st.integers(1, 60)))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cutout_agrees_with_cutout2d(image, x, y, size):
    height, width = size
    center = (ORIGIN[0] + x, ORIGIN[1] + y)
    own = Box.of_shape((48, 48))
    unclipped = Box(0, width, 0, height).shifted(int(np.ceil(x - width / 2)), int(np.ceil(y - height / 2)))
    if unclipped.clipped(own) is None:
        with pytest.raises(ParameterError, match=r"wholly outside the image, .*corners at RA, Dec"):
            image.cutout(center, size)
        return
    cut = image.cutout(center, size)
    expected = Cutout2D(image.data, (x, y), size, wcs=image.wcs)
    assert np.array_equal(cut.data, expected.data)
    assert cut.wcs.pixel_to_world(1, 2).separation(expected.wcs.pixel_to_world(1, 2)) < 1e-6 * u.arcsec
    assert_part(cut, image, unclipped.clipped(own))


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_part_that_is_read_is_the_part_of_what_is_read(level2_paths, release):
    whole = SpectralImage.read(level2_paths[release])
    x, y = whole.origin
    bbox = (x + 5, x + 30, y + 40, y + 60)
    assert_same(SpectralImage.read(level2_paths[release], bbox=bbox), whole.cutout(bbox=bbox))
    center = whole.wcs.pixel_to_world(20, 11)
    read = SpectralImage.read(level2_paths[release], center=center, size=60 * u.arcsec)
    assert_same(read, whole.cutout(center, 60 * u.arcsec))


def test_archive_cutout_is_our_cutout_of_the_full_frame():
    options = {"detector": 2, "full_psf": False}
    full = SpectralImage.from_hdulist(level2_hdulist(**options))
    archive = make_spectral_image(**options, size=20, origin=(901, 37))
    assert_same(full.cutout(bbox=(901, 921, 37, 57)), archive)


def test_cutout_of_a_cutout_counts_pixels_of_the_full_frame(image):
    first = image.cutout(bbox=(1510, 1540, 310, 340))
    assert_same(first.cutout(bbox=(1515, 1520, 312, 313)), image.cutout(bbox=(1515, 1520, 312, 313)))


def test_cutout_needs_a_place(image):
    with pytest.raises(ParameterError, match="A cutout needs center and size, or bbox"):
        image.cutout()


def test_cutout_of_an_image_without_wcs_says_so():
    image = SpectralImage(np.zeros((4, 4)), unit="Jy")
    assert image.wcs is None
    with pytest.raises(ParameterError, match=r"wholly outside the image, .*which has no celestial WCS"):
        image.cutout(bbox=(9, 12, 0, 2))


@pytest.mark.parametrize(
    "item",
    [3, (3, 4), (slice(0, 9, 2),), slice(None, None, -1), ..., np.zeros((48, 48), bool), (slice(2),) * 3, slice(5, 5)],
)
def test_index_that_is_no_box_is_refused(image, item):
    with pytest.raises(ParameterError, match=r"(?s)cannot be indexed by .*only by contiguous slices|holds no pixel"):
        _ = image[item]


@pytest.mark.parametrize(
    ("item", "box"),
    [
        (slice(5, 9), Box(0, 48, 5, 9)),
        ((slice(-3, None), slice(None, -40)), Box(0, 8, 45, 48)),
        ((slice(0, 900), slice(np.int64(7), None, 1)), Box(7, 48, 0, 48)),
    ],
)
def test_slices_mean_what_they_do_for_arrays(image, item, box):
    assert_part(image[item], image, box)


def test_choices_stay_with_the_part(image):
    changed = image.with_mask(bad=["SOURCE"])
    changed.wcs = WCS(naxis=2)
    cut = changed[10:20, 5:9]
    assert np.array_equal(cut.mask, changed.mask[10:20, 5:9])
    assert cut.wcs.wcs.crpix.tolist() == [-5.0, -10.0]
    changed.mask = np.ones((48, 48), bool)
    assert changed[3:5, 3:5].mask.all()
    changed.wcs = changed.mask = None
    assert (changed[3:5].wcs, changed[3:5].mask) == (None, None)


# Copies.


@pytest.mark.parametrize("duplicate", COPIES)
@pytest.mark.parametrize("touch", [False, True])
@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_copies_are_equal(release, duplicate, touch):
    source = make_spectral_image(release=release, size=24)
    if touch:
        source.meta["NEW"] = ("value", "comment")
        source.meta["TELESCOP"] = "changed"
        _ = source.mask, source.wcs, source.wavelength
    twin = duplicate(source)
    assert_same(twin, source)
    assert_same(twin[3:9, 4:10], source[3:9, 4:10])


@pytest.mark.parametrize("duplicate", [SpectralImage.copy, copy.deepcopy])
def test_copies_share_nothing(duplicate):
    image, untouched = make_spectral_image(size=24), make_spectral_image(size=24)
    twin = duplicate(image)
    for name in ARRAYS:
        getattr(twin, name)[:] = 1
    twin.psf.kernels[:] = 0
    twin.wavelength_table.values[:] = 0
    twin.meta["OBSID"] = "other"
    twin.wcs.wcs.crval[:] = 0
    assert_same(image, untouched)


@pytest.mark.parametrize("duplicate", COPIES)
def test_choices_stay_with_copies(image, duplicate):
    chosen = image.with_mask(bad=["SOURCE"])
    assert np.array_equal(duplicate(chosen).mask, chosen.mask)
    chosen = image.copy()
    chosen.mask = np.eye(48, dtype=bool)
    chosen.wcs = None
    twin = duplicate(chosen)
    assert np.array_equal(twin.mask, chosen.mask)
    assert twin.wcs is None


# Parts that are not there.


@pytest.mark.parametrize(
    ("plane", "attribute"),
    [
        ("FLAGS", "flags"),
        ("FLAGS", "flag_definitions"),
        ("VARIANCE", "variance"),
        ("ZODI", "zodi"),
        ("PSF", "psf"),
        ("WCS-WAVE", "wavelength"),
        ("WCS-WAVE", "bandwidth"),
        ("WCS-WAVE", "spectral_wcs"),
    ],
)
def test_part_that_was_not_loaded_is_refused_naming_planes(level2_path, plane, attribute):
    others = {"FLAGS", "VARIANCE", "ZODI", "PSF", "WCS-WAVE"} - {plane}
    image = SpectralImage.read(level2_path, planes=others)
    with pytest.raises(ParameterError, match=rf"This image has no {plane}: .*planes=\[…, '{plane}'\] loads it"):
        getattr(image, attribute)
    with pytest.raises(ParameterError, match=f"no {plane}"):
        getattr(copy.deepcopy(image[3:9]), attribute)


@pytest.mark.parametrize("planes", [[], ["IMAGE"], "FLAGS", ["flags", "EPSF"], ("PSF", "WCS-WAVE")])
def test_planes_limit_what_is_there(level2_path, planes):
    image = SpectralImage.read(level2_path, planes=planes)
    wanted = {name.upper() for name in ([planes] if isinstance(planes, str) else planes)}
    wanted = {"PSF" if name == "EPSF" else name for name in wanted} - {"IMAGE"}
    names = {"PSF" if hdu.name == "EPSF" else hdu.name for hdu in image.to_hdulist()}
    assert names == wanted | {"PRIMARY", "IMAGE"}
    if not wanted:
        assert (image.uncertainty, image.mask) == (None, None)


def test_unknown_plane_is_refused(level2_path):
    with pytest.raises(ParameterError, match="planes names DARK; expected some of FLAGS, VARIANCE, "):
        SpectralImage.read(level2_path, planes=["DARK"])


@pytest.mark.parametrize("make", [CCDData, SpectralImage.copy, lambda image: NDData(image.data, unit=image.unit)])
def test_it_is_not_made_from_another_image(make):
    source = make(np.zeros((2, 2)), unit="Jy") if make is CCDData else make(make_spectral_image(size=8))
    with pytest.raises(ParameterError, match=r"not made from a \w+; pass its data, unit, variance, flags … one by one"):
        SpectralImage(source)


def test_quantity_brings_its_unit():
    assert SpectralImage(np.ones((2, 2)) * u.Jy).unit == u.Jy
    assert SpectralImage([[1.0, 2.0]], header=fits.Header([("BUNIT", "MJy/sr")])).unit == u.MJy / u.sr


def test_masked_array_brings_its_mask():
    masked = np.ma.masked_greater([[1.0, 2.0]], 1)
    assert SpectralImage(masked, unit="Jy").mask.tolist() == [[False, True]]
    assert SpectralImage(masked, unit="Jy", mask=[[True, False]]).mask.tolist() == [[True, False]]
    assert SpectralImage(np.ma.array([[1.0, 2.0]]), unit="Jy").mask is None


def test_mask_wcs_and_bad_flags_can_be_given(image):
    parts = {
        "header": image.image_header,
        "flags": image.flags,
        "plane_headers": {"FLAGS": image._headers.planes["FLAGS"]},
    }
    assert np.array_equal(SpectralImage(image.data, **parts).mask, image.mask)
    chosen = SpectralImage(image.data, **parts, bad_flags=["SOURCE"])
    assert np.array_equal(chosen.mask, image.with_mask(bad="SOURCE").mask)
    without = SpectralImage(image.data, **parts, mask=None, wcs=None)
    assert (without.mask, without.wcs) == (None, None)
    own = SpectralImage(image.data, **parts, wcs=WCS(naxis=2))
    assert own.wcs.wcs.ctype[0] == ""

"""What other libraries make of a `SpectralImage`: they take it for the CCDData that it is."""

from __future__ import annotations

import astropy.units as u
import ccdproc
import numpy as np
import pytest
from photutils.aperture import ApertureStats, CircularAperture, SkyCircularAperture, aperture_photometry
from reproject import reproject_interp

from spherex_butler import SpectralImage
from spherex_butler.testing import make_spectral_image

ORIGIN = (900, 800)
POSITIONS = [(20.0, 20.0), (30.0, 12.0)]


@pytest.fixture(scope="module", params=["qr2", "qr3"])
def image(request) -> SpectralImage:
    return make_spectral_image(release=request.param, detector=3, size=48, origin=ORIGIN)


@pytest.fixture
def masked(image) -> SpectralImage:
    """The image with a wild pixel in the first aperture, which its mask takes out."""
    masked = image.copy()
    masked.data[20, 20] = 1e9
    masked.mask = masked.mask.copy()
    masked.mask[20, 20] = True
    return masked


# photutils.


def test_photutils_takes_unit_and_wcs(image):
    pixels = CircularAperture(POSITIONS, r=3)
    sky = SkyCircularAperture(image.wcs.pixel_to_world(*np.transpose(POSITIONS)), r=3 * 6.15 * u.arcsec)
    table = aperture_photometry(image, pixels)
    expected = [np.nansum(weight.multiply(np.where(image.mask, 0, image.data))) for weight in pixels.to_mask()]
    assert np.allclose(table["aperture_sum"].value, expected, rtol=1e-6)
    assert table["aperture_sum"].unit == image.unit
    assert np.allclose(aperture_photometry(image, sky)["aperture_sum"], table["aperture_sum"], rtol=0.05)


def test_photutils_leaves_out_what_is_masked(masked):
    aperture = CircularAperture(POSITIONS, r=3)
    assert aperture_photometry(masked, aperture)["aperture_sum"].value.max() < 1e6
    statistics = ApertureStats(masked, aperture)
    assert statistics.max.unit == masked.unit
    assert statistics.max.value.max() < 1e6


def test_photutils_takes_errors_from_the_image(image):
    aperture = CircularAperture(POSITIONS, r=3)
    # Whole pixels: releases of photutils differ in how the error of a part of one counts.
    given = {"error": image.error, "mask": image.mask, "method": "center"}
    table = aperture_photometry(image.data * image.unit, aperture, **given)
    weights = [pixels.to_image(image.shape) * ~image.mask for pixels in aperture.to_mask(method="center")]
    sums = [np.nansum(weight * image.data) for weight in weights]
    errors = [np.sqrt(np.nansum(weight * image.variance)) for weight in weights]
    assert np.allclose(table["aperture_sum"].value, sums, rtol=1e-5)
    assert np.allclose(table["aperture_sum_err"].value, errors, rtol=1e-5)
    assert table["aperture_sum_err"].unit == image.unit


def test_photutils_has_no_errors_of_the_image_itself(image):
    # It takes a StdDevUncertainty alone, and drops a variance without a word (photutils 3.0).
    table = aperture_photometry(image, CircularAperture(POSITIONS, r=3))
    assert "aperture_sum_err" not in table.colnames


def test_mask_keeps_nan_out_of_photometry(masked):
    masked.variance[20, 20] = np.nan
    aperture = CircularAperture(POSITIONS, r=3)
    given = masked.data * masked.unit
    table = aperture_photometry(given, aperture, error=masked.error, mask=masked.mask)
    assert np.isfinite(table["aperture_sum_err"]).all()
    unmasked = aperture_photometry(given, aperture, error=masked.error)
    assert np.isnan(unmasked["aperture_sum_err"]).tolist() == [True, False]


# reproject.


@pytest.mark.parametrize("given", [lambda image: image, lambda image: (image.data, image.wcs)], ids=["image", "tuple"])
def test_reproject_onto_a_cutout_gives_its_pixels(image, given):
    part = image.cutout(bbox=(904, 940, 804, 830))
    data, footprint = reproject_interp(given(image), part.wcs, shape_out=part.shape)
    assert np.allclose(data, part.data, rtol=1e-5, equal_nan=True)
    assert footprint.min() == 1


# ccdproc.


def test_ccdproc_trims_it_to_a_cutout(image):
    part = image.cutout(bbox=(904, 913, 806, 820))
    trimmed = ccdproc.trim_image(image, fits_section="[5:13, 7:20]")
    assert isinstance(trimmed, SpectralImage)
    for name in ("data", "flags", "variance", "zodi", "mask"):
        assert np.array_equal(getattr(trimmed, name), getattr(part, name)), name
    assert trimmed.origin == part.origin


@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")  # pixels masked in both
@pytest.mark.filterwarnings("ignore:Degrees of freedom <= 0:RuntimeWarning")  # the same
def test_ccdproc_combines_images_without_what_is_masked(image, masked):
    masked.data += 1
    combined = ccdproc.Combiner([image, masked]).average_combine()
    assert combined.unit == image.unit
    both, one = image.mask & masked.mask, image.mask ^ masked.mask
    assert np.array_equal(combined.mask, both)
    neither = ~(image.mask | masked.mask)
    assert np.allclose(combined.data[neither], image.data[neither] + 0.5)
    assert np.array_equal(combined.data[one], image.data[one])

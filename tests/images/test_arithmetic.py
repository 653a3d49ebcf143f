from __future__ import annotations

import operator

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData, StdDevUncertainty

from spherex_butler import SpectralImage
from spherex_butler.errors import ParameterError
from spherex_butler.testing import make_spectral_image

OPERATIONS = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv}


@pytest.fixture
def left():
    return make_spectral_image(size=16, detector=3)


@pytest.fixture
def right():
    return make_spectral_image(size=16, detector=3, seed=7, center=SkyCoord(20, 30, unit="deg"), origin=(90, 80))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_becomes_of_each_part(left, right, operation):
    result = getattr(left, operation)(right)
    assert type(result) is SpectralImage
    assert result.data == pytest.approx(OPERATIONS[operation](left.data, right.data), rel=1e-6)
    assert np.array_equal(result.flags, left.flags | right.flags)
    assert not np.array_equal(result.flags, left.flags)
    assert np.array_equal(result.mask, left.mask | right.mask)
    assert result.origin == left.origin != right.origin
    assert result.wcs.pixel_to_world(2, 3) == left.wcs.pixel_to_world(2, 3)
    assert np.array_equal(result.psf.at(1, 1), left.psf.at(1, 1))
    assert np.array_equal(result.wavelength, left.wavelength)
    assert result.obs_id == left.obs_id
    with pytest.raises(ParameterError, match="This image has no ZODI"):
        _ = result.zodi


@pytest.mark.parametrize("operation", OPERATIONS)
def test_variance_is_propagated(left, right, operation):
    def variance(a, b):
        if operation in {"add", "subtract"}:
            return a.variance + b.variance
        relative = a.variance / a.data.astype(float) ** 2 + b.variance / b.data.astype(float) ** 2
        return relative * OPERATIONS[operation](a.data, b.data) ** 2

    result = getattr(left, operation)(right)
    assert result.variance == pytest.approx(variance(left, right), rel=1e-4)
    assert result.uncertainty.unit == result.unit**2


def test_units_combine(left, right):
    assert left.multiply(right).unit == left.unit**2
    assert left.divide(right).unit == u.one
    assert left.multiply(3 * u.sr).unit == u.MJy
    assert left.add(1 * u.Jy / u.sr).data == pytest.approx(left.data + 1e-6)
    with pytest.raises(u.UnitConversionError):
        left.add(3 * u.s)


@pytest.mark.parametrize("operand", [2, 2.5, np.float32(3), np.arange(256.0).reshape(16, 16), 2 * u.s])
def test_numbers_and_arrays_leave_the_flags(left, operand):
    result = left.multiply(operand)
    values = getattr(operand, "value", operand)
    assert result.data == pytest.approx(left.data * values)
    assert result.variance == pytest.approx(left.variance * np.square(values), rel=1e-5)
    assert np.array_equal(result.flags, left.flags)
    assert np.array_equal(result.mask, left.mask)


def test_plain_ccddata_brings_its_mask_and_uncertainty(left):
    mask = np.eye(16, dtype=bool)
    other = CCDData(np.ones((16, 16)), unit=left.unit, mask=mask, uncertainty=StdDevUncertainty(np.full((16, 16), 2.0)))
    result = left.subtract(other)
    assert np.array_equal(result.mask, left.mask | mask)
    assert result.variance == pytest.approx(left.variance + 4)
    assert np.array_equal(result.flags, left.flags)


def test_ones_own_mask_and_choice_of_flags_stay(left, right):
    chosen = left.with_mask(bad=["SOURCE"])
    assert np.array_equal(chosen.multiply(2).mask, chosen.mask)
    assert np.array_equal(chosen.add(right).mask, chosen.mask | right.mask)
    left.mask = np.eye(16, dtype=bool)
    assert np.array_equal(left.multiply(2).mask, left.mask)
    assert np.array_equal(left.add(right).mask, left.mask | right.mask)
    assert np.array_equal(right.add(left).mask, left.mask | right.mask)


def test_options_of_ccddata_are_passed_on(left, right):
    assert left.add(right, propagate_uncertainties=None).uncertainty is None
    assert left.add(right, handle_mask=None).mask is None
    with pytest.raises(ValueError, match="WCS are not equal"):
        left.add(right, compare_wcs=lambda *_: False)
    assert left.add(right, compare_wcs=lambda *_: True).origin == left.origin


def test_images_without_flags_or_variance(level2_path):
    bare, whole = SpectralImage.read(level2_path, planes=[]), SpectralImage.read(level2_path)
    assert (bare.add(bare).uncertainty, bare.add(bare).mask) == (None, None)
    assert np.array_equal(whole.add(bare).mask, whole.mask)
    assert np.array_equal(bare.add(whole).mask, whole.mask)
    assert np.array_equal(whole.add(bare).variance, whole.variance)


def test_flags_of_two_conventions_are_not_combined(left):
    other = make_spectral_image(size=16, detector=3, release="qr3")
    with pytest.raises(ParameterError, match=r"two images define flags differently: .*; combine their data instead"):
        left.add(other)


def test_zodi_is_subtracted_once(left):
    result = left.subtract_zodi()
    assert np.array_equal(result.data, left.data - left.zodi)
    assert np.array_equal(result.variance, left.variance)
    assert result.meta["HISTORY"][-1] == "Zodiacal light model subtracted"
    assert "Zodiacal light model subtracted" not in left.meta["HISTORY"]
    with pytest.raises(ParameterError, match="This image has no ZODI"):
        result.subtract_zodi()


@pytest.mark.parametrize("unit", ["Jy/arcsec2", u.erg / u.s / u.cm**2 / u.Hz / u.sr, "W/(m2 Hz sr)"])
def test_conversion_takes_every_plane_along(left, unit):
    factor = (1 * left.unit).to_value(unit)
    result = left.convert_unit_to(unit)
    assert result.unit == u.Unit(unit)
    assert result.data == pytest.approx(left.data * factor, rel=1e-6)
    assert result.zodi == pytest.approx(left.zodi * factor, rel=1e-6)
    assert result.variance == pytest.approx(left.variance.astype(float) * factor**2, rel=1e-6)
    assert result.convert_unit_to(left.unit).variance == pytest.approx(left.variance, rel=1e-5)
    assert np.array_equal(result.mask, left.mask)


def test_conversion_keeps_whole_numbers_exact():
    image = SpectralImage(np.array([[1, 2]]), unit="Jy").convert_unit_to("MJy")
    assert image.data == pytest.approx(np.array([[1e-6, 2e-6]]))


def test_conversion_by_equivalency(left):
    result = left.convert_unit_to(u.MJy / u.beam, u.beam_angular_area(1e-9 * u.sr))
    assert result.data == pytest.approx(left.data * 1e-9)
    assert result.unit == u.MJy / u.beam


def test_conversion_that_is_not_by_a_factor_is_refused():
    image = SpectralImage(np.ones((2, 2)), unit="deg_C")
    with pytest.raises(ParameterError, match="deg_C does not become K by a factor, which variance and zodi need"):
        image.convert_unit_to("K", u.temperature())


@pytest.mark.parametrize("name", ["sum", "mean", "min", "max"])
def test_collapsed_image_is_a_plain_ccddata(left, name):
    left.mask = None
    whole, rows = getattr(left, name)(), getattr(left, name)(axis=0)
    assert type(whole) is type(rows) is CCDData
    assert whole.data == pytest.approx(getattr(left.data, name)())
    assert rows.data == pytest.approx(getattr(left.data, name)(axis=0))
    assert rows.unit == left.unit


def test_collapse_can_leave_masked_pixels_out(left):
    left.mask = left.data > np.median(left.data)
    assert left.max(operation_ignores_mask=True).data == pytest.approx(left.data[~left.mask].max())


def test_plain_ccddata_has_everything_but_the_psf(left):
    ccd = left.to_ccddata()
    assert type(ccd) is CCDData
    assert np.array_equal(ccd.data, left.data)
    assert np.array_equal(ccd.mask, left.mask)
    assert np.array_equal(ccd.flags, left.flags)
    assert np.array_equal(ccd.uncertainty.array, left.variance)
    assert ccd.wcs.pixel_to_world(1, 2) == left.wcs.pixel_to_world(1, 2)
    assert ccd.psf is None
    ccd.meta["OBSID"] = "x"
    assert left.obs_id != "x"


def test_variance_follows_a_unit_that_is_assigned(left):
    expected = left.variance.copy()
    left.unit = "kJy / sr"
    assert left.uncertainty.unit == left.unit**2
    assert left.uncertainty.parent_nddata is left
    assert np.array_equal(left.variance, expected, equal_nan=True)
    assert np.array_equal(left.multiply(1.0).variance, expected, equal_nan=True)
    assert np.allclose(left.add(left).variance, 2 * expected, equal_nan=True)
    assert left.to_ccddata().uncertainty.unit == left.unit**2
    left.uncertainty = None
    left.unit = "Jy / sr"
    assert (left.unit, left.uncertainty) == (u.Jy / u.sr, None)


def test_error_is_the_standard_deviation(left):
    assert left.error.unit == left.unit
    assert left.error.shape == left.shape
    assert left.error.dtype == left.variance.dtype
    assert np.allclose(left.error.value**2, left.variance, rtol=1e-6)
    left.variance[3, 4:6] = np.nan, -1
    assert np.argwhere(np.isnan(left.error)).tolist() == [[3, 4], [3, 5]]
    left.unit = "kJy / sr"
    assert left.error.unit == u.kJy / u.sr
    left.uncertainty = None
    with pytest.raises(ParameterError, match="This image has no VARIANCE"):
        _ = left.error

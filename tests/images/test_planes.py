from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty

from spherex_butler import SpectralImage
from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.images.flags import flagged
from spherex_butler.testing import make_spectral_image


@pytest.fixture
def image():
    return make_spectral_image(size=24, detector=3)


def test_mask_follows_the_flags_that_spoil_a_pixel(image):
    assert np.array_equal(image.mask, flagged(image.flags, image.flag_definitions))
    assert 0 < image.mask.sum() < image.mask.size


def test_mask_can_be_of_other_flags(image):
    chosen = image.with_mask(bad=["SOURCE", "OUTLIER"])
    bits = sum(1 << image.flag_definitions[name] for name in ("SOURCE", "OUTLIER"))
    assert np.array_equal(chosen.mask, (image.flags & bits) != 0)
    assert not np.array_equal(chosen.mask, image.mask)
    assert not image.with_mask(bad=[]).mask.any()
    assert np.array_equal(image.with_mask(bad="SOURCE").mask, image.with_mask(bad=["SOURCE"]).mask)


def test_choosing_flags_replaces_a_mask_of_ones_own(image):
    image.mask = np.ones_like(image.mask)
    assert not image.with_mask(bad=[]).mask.any()
    assert image.mask.all()


def test_mask_follows_new_flags(image):
    assert image.mask.any()
    image.flags = np.zeros_like(image.flags)
    assert not image.mask.any()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data", None, r"data has shape \(\); expected \(24, 24\)"),
        ("flags", np.zeros((3, 3), int), r"FLAGS has shape \(3, 3\); expected \(24, 24\), the shape of IMAGE"),
        ("flags", np.zeros((24, 24)), "FLAGS are float64; expected integers, whose bits are the flags"),
        ("data", np.zeros((3, 3)), r"data has shape \(3, 3\); expected \(24, 24\), the shape of IMAGE"),
        ("mask", np.zeros((3, 3), bool), r"mask has shape \(3, 3\); expected \(24, 24\), the shape of IMAGE"),
        ("uncertainty", np.zeros((3, 3)), r"uncertainty has shape \(3, 3\); expected \(24, 24\), the shape of IMAGE"),
        ("uncertainty", VarianceUncertainty(np.zeros((3, 3))), r"uncertainty has shape \(3, 3\)"),
    ],
)
def test_plane_that_does_not_fit_is_refused(image, name, value, message):
    with pytest.raises(FormatError, match=message):
        setattr(image, name, value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data": np.zeros((2, 3, 4))}, r"IMAGE has shape \(2, 3, 4\); expected two axes"),
        ({"variance": np.zeros((3, 3))}, r"has shape \(3, 3\); expected \(2, 2\), the shape of IMAGE"),
        ({"zodi": np.zeros((3, 3))}, r"ZODI has shape \(3, 3\); expected \(2, 2\), the shape of IMAGE"),
        ({"flags": np.zeros((2, 2), int)}, "Flags came without a FLAGS header; expected one that defines their bits"),
    ],
)
def test_image_is_not_made_of_parts_that_do_not_fit(parts, message):
    with pytest.raises(FormatError, match=message):
        SpectralImage(**({"data": np.zeros((2, 2)), "unit": "Jy"} | parts))


@pytest.mark.parametrize(("name", "value"), [("psf", np.zeros((5, 5))), ("wcs", "TAN")])
def test_part_of_another_type_is_refused(image, name, value):
    with pytest.raises(TypeError, match=rf"{name} is a \w+; expected a \w+ or None"):
        setattr(image, name, value)


@pytest.mark.parametrize(
    "uncertainty",
    [
        StdDevUncertainty(np.full((24, 24), 3.0)),
        VarianceUncertainty(np.full((24, 24), 9.0)),
        InverseVariance(np.full((24, 24), 1 / 9)),
        StdDevUncertainty(np.full((24, 24), 3e6), unit=u.Jy / u.sr),
        np.full((24, 24), 3.0),
    ],
)
def test_any_uncertainty_becomes_a_variance(image, uncertainty):
    image.uncertainty = uncertainty
    assert type(image.uncertainty) is VarianceUncertainty
    assert image.variance == pytest.approx(9.0)
    assert image.uncertainty.unit == image.unit**2


def test_parts_can_be_taken_away(image, tmp_path):
    image.uncertainty = image.flags = image.psf = None
    image.write(tmp_path / "x.fits")
    again = SpectralImage.read(tmp_path / "x.fits")
    assert (again.uncertainty, again.mask) == (None, None)
    with pytest.raises(ParameterError, match="This image has no PSF"):
        _ = again.psf


@pytest.mark.parametrize(
    ("part", "hdu", "way"),
    [
        ("error", "VARIANCE", r"variance=…, or assign an astropy uncertainty to image\.uncertainty"),
        ("zodi", "ZODI", "zodi=…"),
        ("flags", "FLAGS", r"flags=… and plane_headers=\{'FLAGS': …\}, whose header defines their bits"),
        ("flag_definitions", "FLAGS", "flags=…"),
        ("psf", "PSF", r"psf=…, or assign one to image\.psf"),
        ("wavelength_table", "WCS-WAVE", "wavelengths=…"),
    ],
)
def test_image_made_in_memory_says_how_a_part_is_given_to_it(part, hdu, way):
    made = SpectralImage(np.ones((4, 4)), unit="MJy / sr")
    with pytest.raises(ParameterError, match=rf"no {hdu}: it was made without\. Make it by SpectralImage\(.* {way}"):
        getattr(made, part)
    made.uncertainty = VarianceUncertainty(np.full((4, 4), 9.0))
    assert made.error[0, 0].value == 3


def test_data_and_psf_can_be_replaced(image, tmp_path):
    image.data = np.ones((24, 24))
    image.psf = make_spectral_image(size=8, detector=5).psf
    image.write(tmp_path / "x.fits")
    again = SpectralImage.read(tmp_path / "x.fits")
    assert again.data.dtype == np.float64
    assert np.array_equal(again.psf.kernels, image.psf.kernels)


def test_data_can_be_changed_in_place(image):
    before = image.data.copy()
    image.data += 1
    assert np.array_equal(image.data, before + 1)


def test_data_with_a_unit_are_converted_when_assigned(image):
    expected = image.data * 2
    image.data = (image.data * 2e3) * u.kJy / u.sr
    assert np.allclose(image.data, expected, rtol=1e-6, equal_nan=True)
    with pytest.raises(u.UnitConversionError, match="not convertible"):
        image.data = image.data * u.m

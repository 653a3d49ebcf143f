"""Images on the gains and wavelengths of QR3, by the task alone."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.nddata import CCDData

from spherex_butler.errors import ParameterError
from spherex_butler.tasks import ApplyGainsConfig, ApplyGainsTask
from spherex_butler.testing import make_spectral_image

SIZE = 24


def an_image(release, detector=5):
    return make_spectral_image(size=SIZE, release=release, detector=detector)


def full_frame(value, image, part=None):
    """Return a calibration of the full frame, of one value but for an image's part of it."""
    values = np.full((2040, 2040), value, np.float32)
    values[image.box.slices] = value if part is None else part
    return CCDData(values, unit="")


def task(**config):
    found = ApplyGainsConfig()
    found.update(**config)
    return ApplyGainsTask(config=found)


def test_image_of_qr2_gets_gains_and_wavelengths_of_qr3():
    image = an_image("qr2")
    corrected = task().run(image, full_frame(0.97, image)).corrected
    assert corrected.data == pytest.approx(0.97 * image.data, rel=1e-6)
    shift = corrected.wavelength_at(3, 4) - image.wavelength_at(3, 4)
    assert shift.to_value("nm") == pytest.approx(6.40, abs=0.01)
    kept = task(correctWavelengths=False).run(image, full_frame(0.97, image)).corrected
    assert kept.wavelength_at(3, 4) == image.wavelength_at(3, 4)


def test_image_of_qr3_keeps_its_gains():
    image = an_image("qr3")
    corrected = task().run(image, full_frame(0.97, image)).corrected
    assert np.array_equal(corrected.data, image.data, equal_nan=True)
    assert corrected.wavelength_at(3, 4) == image.wavelength_at(3, 4)


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_pixels_that_do_not_work_are_flagged(release):
    image = an_image(release)
    broken = np.zeros((SIZE, SIZE))
    broken[2, 3] = 1
    nonfunc = full_frame(0, image, broken)
    bit = 1 << image.flag_definitions["NONFUNC"]
    settings = {"requireCorrections": False}
    flagged = task(**settings).run(image, None, nonfunc).corrected.flags
    assert flagged[2, 3] & bit
    assert np.array_equal(flagged != image.flags, (broken != 0) & (image.flags & bit == 0))
    left = task(flagNonfunctional=False, **settings).run(image, None, nonfunc).corrected
    assert np.array_equal(left.flags, image.flags)


def test_image_of_qr2_without_corrections_fails_unless_configured():
    image = an_image("qr2")
    with pytest.raises(
        ParameterError, match=r"of QR2, and no l3_flux_corrections is valid .* requireCorrections=False"
    ):
        task().run(image)
    assert np.array_equal(task(requireCorrections=False).run(image).corrected.data, image.data)


def test_calibrations_that_do_not_cover_the_image_are_refused():
    with pytest.raises(ParameterError, match="expected those of the full frame"):
        task().run(an_image("qr3"), None, CCDData(np.zeros((3, 3)), unit=""))

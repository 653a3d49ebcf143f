"""Pixels with an afterglow, by the task alone."""

from __future__ import annotations

import numpy as np
import pytest

from spherex_butler.errors import ParameterError
from spherex_butler.tasks import ApplyGainsTask, MaskPersistenceConfig, MaskPersistenceTask, SubtractZodiTask
from spherex_butler.testing import make_spectral_image

SIZE = 24


def an_image(origin=(1000, 1000), release="qr2", **flagged):
    """Return an image in which only some pixels (row, column) have flags."""
    image = make_spectral_image(size=SIZE, origin=origin, release=release)
    image.flags = np.zeros((SIZE, SIZE), np.int32)
    for name, pixel in flagged.items():
        image.flags[pixel] = 1 << image.flag_definitions[name]
    return image


def task(**config):
    found = MaskPersistenceConfig()
    found.update(**config)
    return MaskPersistenceTask(config=found)


def marked(image, name="PERSIST"):
    """Return the pixels that have a flag."""
    return [tuple(pixel) for pixel in np.argwhere(image.flags >> image.flag_definitions[name] & 1).tolist()]


def test_saturated_pixels_and_those_around_leave_an_afterglow():
    masked = task().run(an_image(), an_image(OVERFLOW=(5, 7))).masked
    assert marked(masked) == [(row, column) for row in (4, 5, 6) for column in (6, 7, 8)]
    assert marked(task(grow=0).run(an_image(), an_image(OVERFLOW=(5, 7))).masked) == [(5, 7)]


def test_pixels_of_the_detector_count_and_not_those_of_the_image():
    before = an_image(origin=(990, 1004), OVERFLOW=(5, 17))
    assert marked(task(grow=0).run(an_image(), before).masked) == [(9, 7)]
    assert marked(task(grow=2).run(an_image(), an_image(origin=(1000, 975), OVERFLOW=(23, 5))).masked) == [
        (0, column) for column in range(3, 8)
    ]
    assert marked(task().run(an_image(), an_image(origin=(10, 10), OVERFLOW=(5, 17))).masked) == []


def test_bright_pixels_leave_one_if_that_is_configured():
    before = an_image()
    before.data[:] = 0
    before.data[3, 3], before.data[4, 4] = 1e5, np.nan
    assert marked(task(grow=0).run(an_image(), before).masked) == []
    assert marked(task(grow=0, brightness=1e4).run(an_image(), before).masked) == [(3, 3)]


def test_flags_are_configured_and_need_not_be_defined():
    before = an_image(HOT=(1, 2))
    assert marked(task(grow=0, flags=["HOT", "SNOWBALL"]).run(an_image(), before).masked) == [(1, 2)]
    masked = task(grow=0, flags=["HOT"], flag="GLOW").run(an_image(release="qr3"), before).masked
    assert marked(masked, "GLOW") == [(1, 2)]
    assert masked.with_mask(bad=["GLOW"]).mask.sum() == 1


def test_image_after_none_stays_as_it_is():
    image = an_image()
    assert task().run(image).masked is image


def test_misspelt_flags_are_refused():
    with pytest.raises(ParameterError, match="flags has 'OVERFLO', which no image defines; did you mean 'OVERFLOW'"):
        task(flags=["OVERFLO"]).run(an_image(), an_image())


def test_pixels_of_another_detector_have_no_afterglow_here():
    with pytest.raises(ParameterError, match="exposure before is of detector 5, and the image of 1; expected the same"):
        task().run(an_image(), make_spectral_image(size=SIZE, detector=5))


@pytest.mark.parametrize("step", [MaskPersistenceTask, SubtractZodiTask, ApplyGainsTask])
def test_what_is_no_image_is_refused(step):
    with pytest.raises(ParameterError, match="The image is a str; expected a SpectralImage"):
        step().run("level2.fits")

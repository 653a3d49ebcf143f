from __future__ import annotations

import numpy as np
import pytest

import spherex_butler.testing
from spherex_butler import SpectralImage
from spherex_butler.testing import level2_hdulist, make_spectral_image


def test_image_is_that_of_the_hdus():
    image = make_spectral_image(size=16, detector=4, release="qr3", seed=3)
    hdus = level2_hdulist(size=16, detector=4, release="qr3", seed=3)
    assert type(image) is SpectralImage
    assert np.array_equal(image.data, hdus["IMAGE"].data)
    assert np.array_equal(image.flags, hdus["FLAGS"].data)
    assert image.detector == 4


def test_image_is_small_unless_asked_otherwise():
    assert make_spectral_image().data.shape == (64, 64)


def test_images_load_no_butler_and_repositories_come_on_first_use(run_python):
    script = """
import sys
from spherex_butler.testing import make_spectral_image
make_spectral_image(size=8)
print([name for name in sys.modules if name.split('.')[0] in ('lsst', 'click')])
import spherex_butler.testing
print(sorted(set(spherex_butler.testing.__all__) - set(dir(spherex_butler.testing))))
from spherex_butler.testing import assert_round_trip, temporary_repo
print('lsst.daf.butler' in sys.modules)
"""
    assert run_python(script).split() == ["[]", "[]", "True"]


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'make_image'; it has .*make_spectral_image"):
        _ = spherex_butler.testing.make_image

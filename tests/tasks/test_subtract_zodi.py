"""Images without zodiacal light, by the task alone."""

from __future__ import annotations

import numpy as np
import pytest

from spherex_butler.errors import ParameterError
from spherex_butler.tasks import SubtractZodiConfig, SubtractZodiTask
from spherex_butler.testing import make_spectral_image


@pytest.fixture
def image():
    return make_spectral_image(size=24)


def test_model_is_subtracted(image):
    subtracted = SubtractZodiTask().run(image).subtracted
    assert np.array_equal(subtracted.data, image.data - image.zodi)
    with pytest.raises(ParameterError, match="has no ZODI"):
        SubtractZodiTask().run(subtracted)


def test_model_is_scaled_as_configured(image):
    config = SubtractZodiConfig()
    config.scale = 0.5
    subtracted = SubtractZodiTask(config=config).run(image).subtracted
    assert subtracted.data == pytest.approx(image.data - 0.5 * image.zodi, rel=1e-6)
    assert subtracted.data.dtype == image.data.dtype

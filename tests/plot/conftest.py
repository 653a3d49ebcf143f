"""Figures for tests of pictures, without a screen."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest

from spherex_butler import SpectralImage
from spherex_butler.testing import make_spectral_image


@pytest.fixture(autouse=True)
def _without_screen() -> Iterator[None]:
    """Draw with Agg, and close all figures at the end."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="session")
def shared_image() -> SpectralImage:
    """Return a small image; not to be changed."""
    return make_spectral_image(detector=3, size=64)


@pytest.fixture
def image(shared_image: SpectralImage) -> SpectralImage:
    """Return a small image."""
    return shared_image.copy()

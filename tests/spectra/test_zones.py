"""How far the kernel of a zone is from the PSF at a place in it, of which simulated images know the truth."""

from __future__ import annotations

import numpy as np
import pytest

from spherex_butler.constants import FULL_FRAME
from spherex_butler.images import SpectralImagePSF
from spherex_butler.testing import make_spectral_image
from spherex_butler.testing.psf_models import pixel_fractions, stamps, widths_at

PLACES = 400
_CORE = 0.01


def biases(release: str, detector: int, *, turned: bool = False) -> np.ndarray:
    """Return by which part the flux is too large that a filter with the kernels of zones measures, at random places."""
    image = make_spectral_image(release=release, detector=detector, size=64, full_psf=True)
    swapped = image.psf.swapped ^ turned
    psf = SpectralImagePSF(image.psf.data, image.psf.header, swapped=swapped)  # of the full frame
    x, y = np.random.default_rng(1).uniform(0, FULL_FRAME - 1, (2, PLACES))
    kernels = psf.detector_kernel(x, y)
    wavelength, _ = image.wavelength_table.interpolated(x, y)
    reach = kernels.shape[-1] // 2
    fractions = [
        pixel_fractions(np.arange(-reach, reach + 1) - (place - np.floor(place + 0.5))[:, np.newaxis], sigma)
        for place, sigma in zip((x, y), widths_at(x, y, np.asarray(wavelength)), strict=True)
    ]
    truth = stamps(fractions[1], fractions[0])
    core = kernels >= _CORE * kernels.max(axis=(-2, -1), keepdims=True)
    weights = np.where(core, kernels, 0)
    return (weights * truth).sum(axis=(-2, -1)) / (weights * kernels).sum(axis=(-2, -1)) - 1


@pytest.mark.parametrize("release", ["qr2", "qr3"])
@pytest.mark.parametrize("detector", [1, 4, 6])
def test_flux_is_good_to_half_a_percent_wherever_a_source_is_in_its_zone(release, detector):
    found = biases(release, detector)
    assert abs(np.mean(found)) < 0.002
    assert np.std(found) < 0.004
    assert np.abs(found).max() < 0.02


def test_kernel_of_a_wrong_zone_shows():
    """The mission says that zones taken for one another, as headers before psffix1 had them, cost up to 5 %."""
    wrong, right = (np.abs(biases("qr2", 4, turned=turned)).max() for turned in (True, False))
    assert wrong > 3 * right

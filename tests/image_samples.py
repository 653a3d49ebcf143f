"""What it means that two spectral images are the same."""

from __future__ import annotations

import numpy as np
from astropy.io import fits

from spherex_butler import SpectralImage

ARRAYS = ("data", "variance", "flags", "zodi", "mask", "wavelength", "bandwidth")


def cards(header: fits.Header) -> list[str]:
    """Return the cards of a header as text."""
    return [card.image for card in header.cards]


def assert_same(found: SpectralImage, expected: SpectralImage, *, psf: bool = True) -> None:
    """Check that every part of two images is the same; ``psf=False`` leaves out what is loaded on first use."""
    assert type(found) is type(expected)
    for name in ARRAYS:
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
        assert getattr(found, name).dtype == getattr(expected, name).dtype, name
    assert cards(found.image_header) == cards(expected.image_header)
    assert set(cards(found.meta)) == set(cards(expected.meta))
    for name in ("unit", "origin", "obs_id", "version", "flag_definitions", "calibrations"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.wcs.pixel_to_world(3, 4) == expected.wcs.pixel_to_world(3, 4)
    assert found.spectral_wcs.pixel_to_world_values(3, 4) == expected.spectral_wcs.pixel_to_world_values(3, 4)
    if psf:
        assert found.psf.origin == expected.psf.origin
        assert np.array_equal(found.psf.kernels, expected.psf.kernels)
        assert np.array_equal(found.psf.zones, expected.psf.zones)

"""`CCDDataFormatter` through a real Butler; what its files hold is tested with `spherex_butler.images.ccddata`."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from fits_samples import SHAPE, assert_identical, assert_same_image, assert_same_wcs, cards, full_image, values
from refusals import refused, refused_get

from spherex_butler.images.spectral_image import SpectralImage

FORMATTER = "spherex_butler.formatters.ccddata.CCDDataFormatter"


@pytest.fixture(scope="module")
def ccd() -> CCDData:
    """An image that has every part; not to be changed."""
    return full_image()


@pytest.fixture(scope="module")
def ref(store: Any, ccd: CCDData) -> Any:
    return store.put(ccd, "CCDData")


def test_every_part_comes_back_and_needs_no_file(store, ccd):
    ref = store.put(ccd, "CCDData")
    got = store.get(ref)
    store.path(ref).unlink()
    assert_same_image(got, ccd)


@pytest.mark.parametrize("parameters", [{}, {"center": (10, 15), "size": (20, 14)}])
def test_component_is_that_of_the_image(store, ccd, ref, parameters):
    whole = ccd if not parameters else store.get(ref, **parameters)
    assert whole.shape == (SHAPE if not parameters else (20, 14))
    for name, expected in (("image", whole.data), ("mask", whole.mask), ("flags", whole.flags)):
        assert_identical(store.get(ref, name, **parameters), expected)
    assert_identical(store.get(ref, "uncertainty", **parameters).array, whole.uncertainty.array)
    assert_same_wcs(store.get(ref, "wcs", **parameters), whole.wcs)
    assert cards(store.get(ref, "header", **parameters)) == cards(whole.meta)
    assert store.get(ref, "unit", **parameters) == u.Unit("MJy / sr")
    assert store.get(ref, "shape", **parameters) == [*whole.shape]


@pytest.mark.parametrize("recipe", ["gzip_2", "rice_1", "lossy"])
def test_recipe_is_chosen_by_configuration(configured_store, recipe):
    store = configured_store(
        {
            "CCDData": {"formatter": FORMATTER, "parameters": {"recipe": recipe}},
            "write_recipes": {FORMATTER: {"lossy": {"compression": "RICE_1", "quantize_level": 16.0}}},
        }
    )
    flags = np.ones((100, 100), dtype="int32")
    data = np.random.default_rng(2).normal(size=flags.shape).astype("float32")
    ref = store.put(CCDData(data, unit="adu", flags=flags), "CCDData")
    got = store.get(ref)
    assert_identical(got.flags, flags)
    loss = np.abs(got.data - data).max()
    assert 0 < loss < 1 / 16 if recipe == "lossy" else loss == 0
    with fits.open(store.path(ref)) as hdus:
        assert hdus["FLAGS"].compression_type == ("GZIP_2" if recipe == "gzip_2" else "RICE_1")
        assert hdus[0].header["LSST BUTLER ID"] == str(ref.id)
        assert "LSST BUTLER ID" not in hdus["IMAGE"].header


def test_unknown_option_of_a_recipe_is_refused(configured_store):
    store = configured_store({"write_recipes": {FORMATTER: {"mine": {"quality": 3}}}})
    text = refused("CCDData", store, CCDData(values("int16"), unit="adu"))
    assert "unknown options ['quality']; expected ['compression', 'quantize_level']" in text


def test_provenance_of_another_dataset_in_meta_is_dropped(store, ref):
    meta = fits.getheader(store.path(ref))
    second = store.put(CCDData(values("float32"), unit="adu", meta=meta), "CCDData")
    assert not [keyword for keyword in store.get(second).meta if keyword.startswith("LSST BUTLER")]
    assert fits.getheader(store.path(second))["LSST BUTLER ID"] == str(second.id)


def test_refused_put_leaves_nothing(store):
    image = SpectralImage(np.zeros((4, 4), dtype="float32"), unit="MJy / sr")
    text = refused("CCDData", store, image)
    assert "would lose its flag definitions, zodi and psf; use the storage class SpectralImage" in text


def test_impossible_cutout_is_refused(store, ref):
    assert "lies wholly outside" in refused_get(store, ref, "mask", bbox=(100, 110, 0, 5))


def test_cutout_is_read_as_hdulist(store, ccd, ref):
    hdus = store.get(ref, storage_class="HDUList", bbox=(3, 17, 5, 25))
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "META", "MASK", "UNCERT", "FLAGS", "PSFIMAGE"]
    np.testing.assert_array_equal(hdus["FLAGS"].data, ccd.flags[5:25, 3:17])
    assert (hdus[0].header["OBJECT"], hdus[0].header["BUNIT"]) == ("M31", "MJy / sr")
    assert hdus[0].header["CRPIX1"] == ccd.wcs.wcs.crpix[0] - 3

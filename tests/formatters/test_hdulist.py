"""`HDUListFormatter` through a real Butler; what it reads and writes is tested with `spherex_butler.formats`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from fits_samples import assert_same_hdus, every_kind
from refusals import refused, refused_get

FORMATTER = "spherex_butler.formatters.hdulist.HDUListFormatter"


@pytest.fixture(scope="module")
def ref(store: Any) -> Any:
    return store.put(every_kind(), "HDUList")


def test_every_hdu_comes_back_and_needs_no_file(store, tmp_path):
    hdus = every_kind()
    ref = store.put(hdus, "HDUList")
    got = store.get(ref)
    store.path(ref).unlink()
    assert not Path(got.filename()).exists()
    got.writeto(tmp_path / "again.fits")
    assert_same_hdus(got, every_kind())
    assert_same_hdus(hdus, every_kind())
    assert not any("LSST BUTLER ID" in hdu.header for hdu in hdus)


def test_hdus_and_their_headers_are_chosen_by_parameter(store, ref):
    got = store.get(ref, hdus=["CATALOG", ("SCI", 2)])
    assert [hdu.name for hdu in got] == ["PRIMARY", "SCI", "CATALOG"]
    assert list(store.get(ref, "headers", hdus=["CATALOG", ("SCI", 2)])) == ["SCI", "CATALOG"]
    assert "There is no HDU 'NOSUCH'; the file has 0 'PRIMARY', 1 'SCI', version 1" in refused_get(
        store, ref, hdus="NOSUCH"
    )


def test_recipe_compresses_plain_images_alone(configured_store):
    store = configured_store({"HDUList": {"formatter": FORMATTER, "parameters": {"recipe": "gzip_2"}}})
    found = [type(hdu) for hdu in store.round_trip(every_kind(), "HDUList")]
    assert found == [fits.PrimaryHDU, *[fits.CompImageHDU] * 3, fits.BinTableHDU, fits.TableHDU, fits.ImageHDU]


def test_unknown_recipe_is_refused(configured_store):
    store = configured_store({"HDUList": {"formatter": FORMATTER, "parameters": {"recipe": "best"}}})
    text = refused("HDUList", store, every_kind())
    assert "has no write recipe 'best'; known ones are ['gzip_2', 'none', 'rice_1']" in text


def test_refused_put_leaves_nothing(store):
    assert "The HDUList is empty; expected at least a PrimaryHDU" in refused("HDUList", store, fits.HDUList())

"""Tile compression that loses neither pixels nor cards, or leaves an image as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from fits_samples import assert_same_data, awkward_header, cards, every_kind, opened, written

from spherex_butler.formats.fits.hdu_list import read_hdus
from spherex_butler.formats.fits.tile_compression import RECIPES, compress_images


def compressed(hdus: Any, recipe: str) -> fits.HDUList:
    """Return HDUs as they come back from a file that a recipe made."""
    return read_hdus(opened(written(compress_images(hdus, RECIPES[recipe]))))


@pytest.mark.parametrize("recipe", ["gzip_2", "rice_1"])
def test_plain_images_are_compressed_without_loss(recipe):
    expected = every_kind()
    got = compressed(every_kind(), recipe)
    assert [type(hdu) for hdu in got] == [
        fits.PrimaryHDU,
        *[fits.CompImageHDU] * 3,
        fits.BinTableHDU,
        fits.TableHDU,
        fits.ImageHDU,
    ]
    for a, b in zip(got, expected, strict=True):
        assert_same_data(a.data, b.data)
    assert cards(got["SCI"].header) == cards(expected["SCI"].header)


@pytest.mark.parametrize(
    ("dtype", "algorithm"),
    [("uint16", "RICE_1"), ("uint32", "RICE_1"), ("int8", "RICE_1"), ("uint64", "GZIP_2"), ("float64", "GZIP_2")],
)
def test_header_of_a_compressed_image_comes_back_card_by_card(dtype, algorithm):
    image = (np.arange(600).reshape(20, 30) % 100).astype(dtype)
    hdu = fits.ImageHDU(image, awkward_header())
    got = compressed([fits.PrimaryHDU(), hdu], "rice_1")[1]
    structure = {"XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "BSCALE", "BZERO"}
    assert [c for c in cards(got.header) if c[0] not in structure] == cards(awkward_header())
    assert isinstance(got, fits.CompImageHDU)
    assert got.compression_type == algorithm
    assert_same_data(got.data, image)


@pytest.mark.parametrize("keyword", ["ZBLANK", "TTYPE1", "BLANK"])
def test_image_whose_cards_compression_needs_itself_stays_plain(keyword):
    hdu = fits.ImageHDU(np.arange(600).reshape(20, 30), fits.Header({keyword: 7, "OBJECT": "M31"}), name="SCI")
    if keyword == "BLANK":
        hdu.header["BLANK"] = 7
    got = compressed([fits.PrimaryHDU(), hdu], "gzip_2")[1]
    assert type(got) is fits.ImageHDU
    assert cards(got.header) == cards(hdu.header)


def test_image_without_pixels_stays_plain():
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((0, 5)), name="NONE")]
    assert compressed(hdus, "gzip_2")["NONE"].shape == (0, 5)

"""Tile compression of images that keeps every card in its place, with its comment and spelling."""

from __future__ import annotations

__all__ = ("RECIPES", "compress_images", "tile_compressed")

import copy
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from astropy.io import fits
from astropy.io.fits.hdu.compressed.settings import DITHER_SEED_CHECKSUM, NO_DITHER, SUBTRACTIVE_DITHER_2
from astropy.io.fits.verify import VerifyWarning

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "none": {"compression": None, "quantize_level": 0.0},
    "gzip_2": {"compression": "GZIP_2", "quantize_level": 0.0},
    "rice_1": {"compression": "RICE_1", "quantize_level": 0.0},
}
"""Write recipes of images.

``compression`` is a tile compression that astropy knows, or `None`; a plane
that it cannot hold without loss is written with GZIP_2.  ``quantize_level``
above zero quantizes float planes, which *loses* digits: noise /
``quantize_level`` is the step (FITS standard 4.0, section 10.2).
"""

_REWRITTEN = {"BSCALE", "BZERO", "CHECKSUM", "DATASUM"}
_STRUCTURAL = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT")


def compress_images(hdus: Iterable[Any], recipe: Mapping[str, Any]) -> fits.HDUList:
    """Return HDUs with the plain images among their extensions compressed as a recipe says."""
    return fits.HDUList([tile_compressed(hdu, recipe) if type(hdu) is fits.ImageHDU else hdu for hdu in hdus])


def tile_compressed(hdu: fits.ImageHDU, recipe: Mapping[str, Any]) -> fits.ImageHDU | fits.BinTableHDU:
    """Return an image HDU in its tile-compressed form, as the table that it is in the file.

    ``hdu`` itself is returned where the recipe says so, or it has no pixel, is
    scaled, or has cards that the compressed form takes for its own.
    """
    if recipe.get("compression") is None or not hdu.shape or 0 in hdu.shape or _is_scaled(hdu.header):
        return hdu
    quantize_level = float(recipe.get("quantize_level") or 0.0)
    lossy = hdu.data.dtype.kind == "f" and quantize_level > 0
    image = fits.CompImageHDU(
        hdu.data,
        compression_type=_lossless_algorithm(hdu, recipe["compression"], lossy=lossy),
        quantize_level=quantize_level if lossy else 0.0,
        quantize_method=SUBTRACTIVE_DITHER_2 if lossy else NO_DITHER,
        dither_seed=DITHER_SEED_CHECKSUM,  # so that the same image gives the same file
    )
    table = _as_table(image)
    # astropy would move the cards that are not its own and change their comments.
    del table.header["EXTNAME"]
    for card in _own_cards(hdu.header):
        table.header.append(copy.copy(card), end=True)
    return table if _same_cards(fits.CompImageHDU(bintable=table).header, hdu.header) else hdu


def _lossless_algorithm(hdu: fits.ImageHDU, algorithm: str, *, lossy: bool) -> str:
    """RICE_1, PLIO_1 and HCOMPRESS_1 know neither floats nor 64 bits: those go to GZIP_2."""
    dtype = hdu.data.dtype
    exact = dtype.kind in "iu" and dtype.itemsize < 8
    return algorithm if exact or lossy or algorithm.startswith("GZIP") else "GZIP_2"


def _is_scaled(header: fits.Header) -> bool:
    """Whether pixels are something else than the integers or floats in the file."""
    offsets = {8: (-128,), 16: (1 << 15,), 32: (1 << 31,), 64: (1 << 63,)}
    allowed = (0, *offsets.get(header["BITPIX"], ()))
    return "BLANK" in header or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) not in allowed


def _as_table(image: fits.CompImageHDU) -> fits.BinTableHDU:
    stored = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(stored)
    stored.seek(0)
    return fits.open(stored, memmap=False, disable_image_compression=True)[1]


def _own_cards(header: fits.Header) -> Sequence[fits.Card]:
    return [c for c in header.cards if c.keyword not in _REWRITTEN and not _STRUCTURAL.fullmatch(c.keyword)]


def _same_cards(first: fits.Header, second: fits.Header) -> bool:
    return _texts(_own_cards(first)) == _texts(_own_cards(second))


def _texts(cards: Iterable[fits.Card]) -> list[str]:
    with warnings.catch_warnings():
        # Said again when the HDU is written.
        warnings.simplefilter("ignore", VerifyWarning)
        return [str(card) for card in cards]

"""FITS files in memory and what they are made of, and what it means that they came back the same."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from spherex_butler.formats.fits.file import FitsFile

DTYPES = (
    "bool",
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64"),
)
"""What the pixels of an image may be."""
SHAPE = (40, 30)
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "expected the start of a FITS file"),
    "other": (lambda _: b"not FITS at all" * 500, "expected the start of a FITS file"),
    "endless": (lambda _: b"SIMPLE  =                    T".ljust(1000), "has no END card"),
    "truncated": (lambda raw: raw[:-3880], "is truncated in HDU"),
}
"""What can become of a file, and what reading it then says."""


class Ranges:
    """Reads ranges of bytes and remembers which."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.read: list[tuple[int, int]] = []

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[Any]:
        self.read += ranges
        return [np.frombuffer(bytearray(self.raw[start:stop]), np.uint8) for start, stop in ranges]


def written(hdus: Iterable[Any]) -> bytes:
    """Return the file that HDUs make."""
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream, output_verify="silentfix+exception")
    return stream.getvalue()


def opened(raw: bytes, *, size: bool = True) -> FitsFile:
    """Return a file of these bytes, of known size or not."""
    return FitsFile(Ranges(raw), len(raw) if size else None, "'x.fits'")


def data_spans(raw: bytes) -> dict[int, tuple[int, int]]:
    """Return where the data of each HDU begin and end, by its number."""
    with fits.open(io.BytesIO(raw), disable_image_compression=True) as hdus:
        places = [hdu.fileinfo() for hdu in hdus]
    return {number: (p["datLoc"], p["datLoc"] + p["datSpan"]) for number, p in enumerate(places)}


def spoilt(raw: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """Return the bytes with some of them overwritten."""
    content = bytearray(raw)
    for start, stop in spans:
        content[start:stop] = b"\xa5" * (stop - start)
    return bytes(content)


def values(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return an array with the extremes of its dtype in it."""
    rng = np.random.default_rng(3)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    if dtype.startswith("float"):
        array = rng.normal(size=shape).astype(dtype)
        array.flat[:5] = np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).tiny
        return array
    limits = np.iinfo(dtype)
    array = rng.integers(limits.min, limits.max, size=shape, dtype=dtype, endpoint=True)
    array.flat[:3] = limits.min, limits.max, 0
    return array


def sip_header(shape: tuple[int, int] = SHAPE) -> fits.Header:
    """Return the header of a distorted celestial WCS, with more digits than astropy writes by itself."""
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = ("RA---TAN-SIP", "east"), "DEC--TAN-SIP"
    header["CRVAL1"], header["CRVAL2"] = (10.08806531943211, "of the reference pixel"), 40.898751104377
    header["CRPIX1"], header["CRPIX2"] = (shape[1] / 2 + 0.123456789012345, "x"), shape[0] / 2
    header["CD1_1"], header["CD1_2"] = -1.708333333333e-3, 1.2345678901234567e-5
    header["CD2_1"], header["CD2_2"] = 1.1345678901234567e-5, 1.708333333333e-3
    header["A_ORDER"], header["B_ORDER"], header["A_0_0"] = 2, 2, -0.358887901781
    header["A_2_0"], header["B_0_2"] = 1.2345678901234567e-5, -7.1e-6
    return header


def cards(header: fits.Header) -> list[tuple[str, Any, str]]:
    """Return a header's cards without those that say which dataset it is."""
    return [
        (card.keyword, None if isinstance(card.value, fits.card.Undefined) else card.value, card.comment)
        for card in header.cards
        if not card.keyword.startswith("LSST BUTLER")
    ]


def assert_identical(got: Any, expected: Any) -> None:
    """Same values, shape and dtype, in this machine's byte order."""
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype.newbyteorder("=")
    assert got.dtype.isnative
    assert got.shape == expected.shape
    assert np.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")


def assert_same_wcs(got: WCS, expected: WCS) -> None:
    """Both give the same positions, distortions included, to a nano-arcsecond."""
    x, y = np.meshgrid(np.linspace(-5, 50, 7), np.linspace(-5, 50, 7))
    for a, b in zip(got.all_pix2world(x, y, 0), expected.all_pix2world(x, y, 0), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-13)
    assert (got.sip is None) == (expected.sip is None)
    if got.sip is not None:
        np.testing.assert_array_equal(got.sip.a, expected.sip.a)
        np.testing.assert_array_equal(got.sip.crpix, expected.sip.crpix)

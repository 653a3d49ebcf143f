"""FITS files in memory and what they are made of, and what it means that they came back the same."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
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


def awkward_header() -> fits.Header:
    """Return a header of cards that are easily lost, moved or cut short."""
    text = (
        "OBJECT  = 'Pass    '           / with blanks\n"
        "COMMENT first of two\n"
        "COMMENT\n"
        "\n"
        "HIERARCH REFCAT.VERSION = 'v1' / dotted\n"
        "HIERARCH L2 N_SOURCE = 4711 / spaced\n"
        "EXTNAME = 'SCI     '           / its own comment\n"
        "HISTORY [CALIB] dark 5a5f\n"
        "MEANING =                    / undefined\n"
        "NUMBER  = -1.23456789012345678E-05 / all digits\n"
        "TWICE   =                    1\n"
        "TWICE   =                    2\n"
        "HISTORY last"
    )
    header = fits.Header.fromstring(text, sep="\n")
    header["LONG"] = ("long " * 40, "of a long string")
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


def full_image(dtype: str = "float32") -> CCDData:
    """Return an image that has every part."""
    rng = np.random.default_rng(4)
    header = sip_header()
    header["OBJECT"] = ("M31", "what was seen")
    return CCDData(
        values(dtype),
        unit="MJy / sr",
        mask=rng.random(SHAPE) > 0.7,
        uncertainty=VarianceUncertainty(rng.random(SHAPE).astype("float32")),
        flags=values("int32" if dtype.startswith("float") else dtype),
        psf=rng.random((7, 9)),
        wcs=WCS(header),
        meta=header,
    )


def assert_same_image(got: CCDData, expected: CCDData) -> None:
    """Every part of two images is the same."""
    for plane in ("data", "mask", "flags", "psf"):
        assert_identical(getattr(got, plane), getattr(expected, plane))
    assert_identical(got.uncertainty.array, expected.uncertainty.array)
    assert (type(got.uncertainty), got.unit) == (type(expected.uncertainty), expected.unit)
    assert cards(got.meta) == cards(expected.meta)
    assert_same_wcs(got.wcs, expected.wcs)


def catalog() -> fits.BinTableHDU:
    """Return a table with every kind of column that differs in how it is stored."""
    columns = [
        fits.Column("NAME", "5A", array=["a", "bcd", ""]),
        fits.Column("FLUX", "3E", array=np.arange(9.0).reshape(3, 3), unit="Jy"),
        fits.Column("TILES", "PJ(2)", array=np.array([[1], [2, 3], []], dtype=object)),
        fits.Column("COUNT", "J", array=np.array([1, 2, 2**32 - 1], dtype="uint32"), bzero=2**31),
    ]
    return fits.BinTableHDU.from_columns(columns, name="CATALOG")


def every_kind() -> fits.HDUList:
    """Return HDUs of every kind there is."""
    rng = np.random.default_rng(2)
    primary = fits.PrimaryHDU(rng.integers(0, 2**16, size=(11, 7), dtype="uint16"))
    primary.header["OBJECT"] = ("M31", "what was seen")
    primary.header["HISTORY"] = "made by a test"
    first = fits.ImageHDU(rng.normal(size=(13, 17)).astype("float32"), name="SCI", ver=1)
    first.header["HIERARCH L2 N_SOURCE"] = (4711, "found")
    first.header["COMMENT"] = "first"
    second = fits.ImageHDU(rng.integers(-9, 9, size=(20, 30), dtype="int64"), name="SCI", ver=2)
    packed = fits.CompImageHDU(rng.integers(0, 99, size=(20, 30), dtype="int32"), name="PACKED")
    ascii_table = fits.TableHDU.from_columns(
        [fits.Column("X", "I5", array=[1, 22]), fits.Column("Y", "A3", array=["a", "b"])]
    )
    return fits.HDUList([primary, first, second, packed, catalog(), ascii_table, fits.ImageHDU(name="EMPTY")])


def assert_same_hdus(got: fits.HDUList, expected: fits.HDUList) -> None:
    """Same names, types, cards and data."""
    assert [hdu.name for hdu in got] == [hdu.name for hdu in expected]
    for a, b in zip(got, expected, strict=True):
        assert type(a) is type(b)
        if not isinstance(a, fits.CompImageHDU):
            assert _without_heap_size(a) == _without_heap_size(b)
        assert_same_data(a.data, b.data)


def _without_heap_size(hdu: Any) -> list[tuple[str, Any, str]]:
    """Return a header's cards, but for PCOUNT of a table, which is known only once it is written."""
    return [card for card in cards(hdu.header) if hdu.is_image or card[0] != "PCOUNT"]


def assert_same_data(got: Any, expected: Any) -> None:
    """Same pixels, or the same columns and rows."""
    if expected is None or expected.dtype.names is None:
        np.testing.assert_array_equal(got, expected)
        assert expected is None or got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        return
    assert got.columns.names == expected.columns.names
    for name in got.columns.names:
        for a, b in zip(got[name], expected[name], strict=True):
            np.testing.assert_array_equal(a, b)

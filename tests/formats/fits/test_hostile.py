"""Small files that would take all time or memory, and headers that make no sense, are refused in words."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from fits_samples import opened, written

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.formats.fits.file import open_local_fits
from spherex_butler.formats.fits.hdu_list import read_hdus
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.formats.fits.wcs import read_wcs
from spherex_butler.images.geometry import celestial_wcs, corners_and_center

BOX = Box(2, 6, 2, 6)


def changed(raw: bytes, **cards: object) -> bytes:
    """Return a file with the last card of each keyword changed; one that is not there is an error."""
    for keyword, value in cards.items():
        at = raw.rindex(f"{keyword:8}= ".encode())
        raw = raw[:at] + str(fits.Card(keyword, value)).encode() + raw[at + 80 :]
    return raw


@pytest.fixture(scope="module")
def compressed() -> bytes:
    pixels = np.arange(20 * 30, dtype=np.int32).reshape(20, 30)
    image = fits.CompImageHDU(pixels, compression_type="RICE_1", tile_shape=(5, 10), name="FLAGS")
    return written([fits.PrimaryHDU(), image])


@pytest.fixture(scope="module")
def table() -> bytes:
    return written([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("x", "J", array=[1, 2])], name="T")])


def read_table(file):
    return file.table(file["T"])


def read_image(file):
    return file.image(file.primary)


READERS = {
    "whole": lambda file: file.image(file["FLAGS"]),
    "strip": lambda file: file.image(file["FLAGS"], BOX),
    "hdus": read_hdus,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"ZTILE1": 0}, r"has tiles of \(0, 5\) pixels; expected at least one along each axis"),
        ({"ZTILE2": -5}, r"has tiles of \(10, -5\) pixels"),
        ({"ZTILE1": "ten"}, r"has tiles of \('ten', 5\) pixels"),
        ({"ZTILE1": 1}, r"has \(12,\) rows; expected one for each of its 120 tiles"),
        ({"ZNAXIS1": 2_000_000_000}, r"has \(12,\) rows; expected one for each of its 800000000 tiles"),
        (
            {"ZNAXIS1": 2_000_000_000, "ZTILE1": 700_000_000},
            r"has shape \(20, 2000000000\), which is 160,000,000,000 bytes of [\d,]+ compressed ones",
        ),
        ({"ZBITPIX": 33}, "has ZBITPIX=33; expected one of"),
        ({"TFIELDS": 2_000_000_000}, "has TFIELDS=2000000000; expected a number of columns up to 999"),
        ({"TFIELDS": -1}, "has TFIELDS=-1"),
    ],
    ids=str,
)
def test_tiles_that_are_not_those_of_the_image_are_refused(compressed, read, cards, message):
    with pytest.raises(FormatError, match=message):
        read(opened(changed(compressed, **cards)))


def test_tiles_of_the_image_are_read(compressed):
    expected = np.arange(20 * 30).reshape(20, 30)
    for name, part in (("whole", expected), ("strip", expected[2:6, 2:6])):
        np.testing.assert_array_equal(READERS[name](opened(compressed)), part)
    np.testing.assert_array_equal(read_hdus(opened(compressed))["FLAGS"].data, expected)


@pytest.mark.parametrize("read", [read_table, read_hdus])
@pytest.mark.parametrize("count", [2_000_000_000, -1, "two"])
def test_number_of_columns_is_bounded(table, read, count):
    with pytest.raises(FormatError, match=rf"HDU 'T' has TFIELDS={count!r}; expected a number of columns up to 999"):
        read(opened(changed(table, TFIELDS=count)))


@pytest.mark.parametrize(
    "cards", [{"TFORM1": "1000000000000J"}, {"TFORM1": "?"}, {"NAXIS1": 10**15}, {"NAXIS2": 10**15}, {"PCOUNT": 10**18}]
)
def test_table_whose_header_lies_is_refused(table, cards):
    with pytest.raises(FormatError, match=r"HDU 'T' is not a binary table|is truncated in HDU 'T'"):
        read_table(opened(changed(table, **cards)))


@pytest.mark.parametrize("cards", [{"NAXIS": 999}, {"NAXIS1": 10**17}, {"BITPIX": 7}, {"NAXIS1": "x"}])
def test_image_whose_header_lies_is_refused(cards):
    raw = written([fits.PrimaryHDU(np.zeros((4, 4), np.float32))])
    with pytest.raises(FormatError):
        read_image(opened(changed(raw, **cards)))


def test_header_without_an_end_is_searched_to_a_bound(tmp_path):
    path = tmp_path / "endless.fits"
    path.write_bytes(b"SIMPLE  =                    T".ljust(2880))
    os.truncate(path, 1 << 40)  # of which nothing is stored
    with open_local_fits(path) as file, pytest.raises(FormatError, match="has no END card"):
        file.hdus()


def celestial(**cards: object) -> fits.Header:
    header = fits.Header([("NAXIS", 2), ("NAXIS1", 8), ("NAXIS2", 8), ("CTYPE1", "RA---TAN-SIP")])
    header.update(CTYPE2="DEC--TAN-SIP", CRVAL1=10.0, CRVAL2=20.0, CRPIX1=4.0, CRPIX2=4.0, CDELT1=1e-3, CDELT2=1e-3)
    header.update(CUNIT1="deg", CUNIT2="deg", RADESYS="ICRS", A_ORDER=2, B_ORDER=2, A_2_0=1e-9)
    header.update(cards)
    return header


def lazy(header: fits.Header) -> LazyHeader:
    return LazyHeader(header.tostring(endcard=False, padding=False).encode())


@pytest.mark.parametrize("extra", [{}, {"PV1_1": 0.0}], ids=["simple", "other cards"])
@pytest.mark.parametrize(
    ("keyword", "value"), [("A_ORDER", 20_000), ("B_ORDER", -1), ("A_ORDER", "many"), ("WCSAXES", 100_000)]
)
def test_small_header_does_not_make_a_large_wcs(extra, keyword, value):
    header = celestial(**extra, **{keyword: value})
    for read in (
        lambda: celestial_wcs(lazy(header)),
        lambda: corners_and_center(lazy(header), (8, 8)),
        lambda: read_wcs(header),
    ):
        with pytest.raises(FormatError, match=rf"The header has {keyword}={value!r}; expected a number up to"):
            read()


@pytest.mark.parametrize("cards", [{"CRVAL1": "here"}, {"CTYPE1": 7}, {"RADESYS": 7}, {"CUNIT1": "9.99 m"}])
def test_wcs_of_the_wrong_types_is_refused(cards):
    with pytest.raises(FormatError, match=r"The header's celestial WCS \(CTYPE1=.*\) cannot be read: "):
        celestial_wcs(lazy(celestial(**cards)))


def test_card_that_astropy_cannot_parse_is_named(table):
    at = table.rindex(b"PCOUNT  = ")
    broken = table[:at] + b"PCOUNT  = 0 0 '".ljust(80) + table[at + 80 :]
    with pytest.raises(FormatError, match="has a card PCOUNT that cannot be read"):
        opened(broken).hdus()


def test_version_that_is_no_number_is_refused():
    hdu = fits.ImageHDU(np.zeros((2, 2)), name="T")
    hdu.header["EXTVER"] = "first"
    with pytest.raises(FormatError, match="HDU 'T' has EXTVER='first'; expected a whole number"):
        read_hdus(opened(written([fits.PrimaryHDU(), hdu])), ("T", 1))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a FIFO"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.mkdir(), "a folder"),
    ],
)
def test_what_is_no_regular_file_is_not_opened(tmp_path, make, kind):
    path = tmp_path / "x.fits"
    make(path)
    with pytest.raises(FormatError, match=f"is {kind}; expected a regular file"), open_local_fits(path):
        pass


def test_link_to_a_regular_file_is_opened(tmp_path, table):
    (tmp_path / "x.fits").write_bytes(table)
    (tmp_path / "link.fits").symlink_to("x.fits")
    with open_local_fits(tmp_path / "link.fits") as file:
        assert [info.name for info in file.hdus()] == ["PRIMARY", "T"]

"""HDUs of a file as an HDUList, all or those asked for, and written as they were given, with valid checksums."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from fits_samples import (
    assert_same_data,
    assert_same_hdus,
    cards,
    data_spans,
    every_kind,
    opened,
    spoilt,
    written,
)

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.formats.fits.hdu_list import copy_hdus, read_hdus, read_headers, write_hdus

RAW = written(every_kind())


def test_all_hdus_are_read_and_can_be_changed():
    got = read_hdus(opened(RAW))
    assert_same_hdus(got, every_kind())
    got["SCI"].data += 1
    got["CATALOG"].data["FLUX"] = 0


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("CATALOG", [4]),
        ("catalog", [4]),
        (2, [2]),
        (-3, [4]),
        (np.int64(5), [5]),
        (("SCI", 2), [2]),
        ("SCI", [1, 2]),
        (["PACKED", "SCI"], [1, 2, 3]),
        ([4, ("SCI", 1)], [1, 4]),
        (["PRIMARY", 5], [5]),
        ([0], []),
        ([], []),
    ],
)
def test_hdus_asked_for_are_returned_after_the_primary(wanted, numbers):
    got = read_hdus(opened(RAW), wanted)
    expected = every_kind()
    got.verify("exception")
    assert [hdu.name for hdu in got] == ["PRIMARY", *(expected[n].name for n in numbers)]
    for hdu, number in zip(got[1:], numbers, strict=True):
        assert_same_data(hdu.data, expected[number].data)
        assert hdu.ver == expected[number].ver


def test_primary_header_comes_along_without_its_data():
    primary = read_hdus(opened(RAW), "CATALOG")[0]
    assert primary.data is None
    assert (primary.header["NAXIS"], primary.header["OBJECT"]) == (0, "M31")
    assert not {"NAXIS1", "BZERO", "BSCALE"} & set(primary.header)
    np.testing.assert_array_equal(read_hdus(opened(RAW), ["PRIMARY"])[0].data, every_kind()[0].data)


@pytest.mark.parametrize("wanted", ["NOSUCH", 7, -8, ("SCI", 3), ["SCI", "NOSUCH"]])
def test_unknown_hdu_is_refused_with_those_there_are(wanted):
    missing = wanted[1] if isinstance(wanted, list) else wanted
    why = f"There is no HDU {missing!r}; the file has 0 'PRIMARY', 1 'SCI', version 1, 2 'SCI'"
    with pytest.raises(ParameterError, match=re.escape(why)):
        read_hdus(opened(RAW), wanted)


@pytest.mark.parametrize("wanted", [1.5, [("SCI", "1")], [None]])
def test_what_names_no_hdu_is_refused(wanted):
    with pytest.raises(ParameterError, match=r"expected a name, a number or \(name, version\)"):
        read_hdus(opened(RAW), wanted)


def test_only_the_bytes_of_the_subset_are_read():
    spans = data_spans(RAW)
    got = read_hdus(opened(spoilt(RAW, [span for number, span in spans.items() if number != 4])), "CATALOG")
    assert_same_data(got["CATALOG"].data, every_kind()["CATALOG"].data)


def test_headers_are_read_by_name_without_data():
    headers = read_headers(opened(spoilt(RAW, data_spans(RAW).values())))
    assert list(headers) == ["PRIMARY", "SCI", "SCI,2", "PACKED", "CATALOG", 5, "EMPTY"]
    assert cards(headers["SCI"]) == cards(every_kind()["SCI"].header)
    assert headers["PACKED"]["NAXIS1"] == 30
    assert "ZIMAGE" not in headers["PACKED"]
    assert list(read_headers(opened(RAW), ["CATALOG", ("SCI", 2)])) == ["SCI", "CATALOG"]


def test_same_name_and_version_again_goes_by_number():
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(np.ones((2, 2)), name="A") for _ in range(3))]
    assert list(read_headers(opened(written(hdus)))) == ["PRIMARY", "A", "A,1", 3]


# Writing.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with HDUs of every kind."""
    every_kind().writeto(tmp_path / "given.fits", checksum=True)
    return tmp_path / "given.fits"


def rewritten(hdus: fits.HDUList, folder: Path) -> fits.HDUList:
    """Return HDUs as they come back from the file ``written.fits``."""
    write_hdus(copy_hdus(hdus), str(folder / "written.fits"))
    return read_hdus(opened((folder / "written.fits").read_bytes()))


def assert_refused(why: str, hdus: fits.HDUList) -> None:
    with pytest.raises(FormatError, match=re.escape(why)):
        copy_hdus(hdus)


def test_hdus_come_back_and_the_given_ones_stay_as_they_were(tmp_path):
    hdus = every_kind()
    copied = copy_hdus(hdus)
    copied[0].header["CHANGED"] = True
    assert_same_hdus(rewritten(hdus, tmp_path), every_kind())
    assert_same_hdus(hdus, every_kind())


def scaled_image() -> fits.ImageHDU:
    hdu = fits.ImageHDU(np.arange(12, dtype="int16").reshape(3, 4), name="X")
    hdu.scale("int16", bscale=0.5, bzero=7)
    return hdu


def lossy_image() -> fits.CompImageHDU:
    image = np.random.default_rng(1).normal(size=(50, 50)).astype("float32")
    return fits.CompImageHDU(image, name="X", quantize_level=4)


@pytest.mark.parametrize("hdu", [scaled_image(), lossy_image()])
def test_image_of_a_file_stays_as_stored(tmp_path, hdu):
    path = tmp_path / "given.fits"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    with fits.open(path) as hdus:
        got = rewritten(hdus, tmp_path)
    header = fits.getheader(path, "X")  # before the pixels are looked at, which changes it
    assert (got["X"].header["BITPIX"], got["X"].header.get("BSCALE")) == (header["BITPIX"], header.get("BSCALE"))
    np.testing.assert_array_equal(got["X"].data, fits.getdata(path, "X"))


@pytest.mark.parametrize("memmap", [True, False])
def test_hdus_of_an_open_file_survive_with_the_callers_cards(path, tmp_path, memmap):
    expected = every_kind()
    with fits.open(path, memmap=memmap) as hdus:
        for hdu, wanted in zip(hdus, expected, strict=True):
            for keyword in ("CHECKSUM", "DATASUM"):
                hdu.header.remove(keyword, ignore_missing=True)
            hdu.header["CHANGED"] = wanted.header["CHANGED"] = True
        got = rewritten(hdus, tmp_path)
    assert_same_hdus(got, expected)
    assert got["PACKED"].header["CHANGED"] is True


def test_hdus_read_before_their_file_was_closed_survive(tmp_path):
    """Without the ASCII table: astropy cannot write one whose text was read from a file."""
    expected = every_kind()
    del expected[5]
    expected.writeto(tmp_path / "given.fits")
    with fits.open(tmp_path / "given.fits", memmap=False) as hdus:
        assert [hdu.data is None for hdu in hdus] == [False] * 5 + [True]
    assert_same_hdus(rewritten(hdus, tmp_path), expected)


@pytest.mark.parametrize("memmap", [None, False])
def test_hdus_not_parsed_before_their_file_was_closed_are_refused(path, memmap):
    with fits.open(path, memmap=memmap) as hdus:
        assert hdus[0].data is not None
    assert_refused("The HDUList has 1 HDUs but its file was closed before all were parsed", hdus)


@pytest.mark.parametrize(("memmap", "read"), [(None, False), (False, False), (None, True)])
def test_data_not_in_memory_when_their_file_is_closed_are_refused(tmp_path, memmap, read):
    path = tmp_path / "given.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 2)), name="SCI")]).writeto(path)
    with fits.open(path, memmap=memmap) as hdus:
        assert len(hdus) == 2
        assert not read or hdus[1].data is not None
    assert_refused("The data of HDU 1 ('SCI') are not in memory and its file is closed", hdus)


def test_checksums_stay_valid_where_there_were_some(path, tmp_path):
    with fits.open(path) as hdus:
        hdus[0].header["OBJECT"] = "M33"
        rewritten(hdus, tmp_path)
    with fits.open(tmp_path / "written.fits", checksum=True, disable_image_compression=True) as hdus:
        assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in hdus)
        assert len(hdus) == 7


def test_datasum_alone_is_renewed(tmp_path):
    hdus = every_kind()
    hdus["SCI"].header["DATASUM"] = "1"
    rewritten(hdus, tmp_path)
    with fits.open(tmp_path / "written.fits", checksum=True) as got:
        assert got["SCI"].header["DATASUM"] != "1"
        assert "CHECKSUM" not in got["SCI"].header
        assert "DATASUM" not in got[0].header


def test_card_that_breaks_the_standard_is_repaired(tmp_path):
    hdus = every_kind()
    hdus["SCI"].header.append(fits.Card.fromstring("EXPONENT= 1.5d3"))
    got = rewritten(hdus, tmp_path)
    assert got["SCI"].header["EXPONENT"] == 1500.0
    assert got["SCI"].header.cards["EXPONENT"].image.startswith("EXPONENT=                1.5D3")


@pytest.mark.parametrize(
    ("hdus", "why"),
    [
        ([], "The HDUList is empty; expected at least a PrimaryHDU"),
        ([fits.ImageHDU(name="SCI")], "HDU 0 is ImageHDU 'SCI'; expected a PrimaryHDU: insert one before it"),
    ],
)
def test_list_without_primary_is_refused(hdus, why):
    assert_refused(why, fits.HDUList(hdus))

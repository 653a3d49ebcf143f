"""HDUs copied and written as they were given, with valid checksums; what a closed file took along is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from fits_samples import assert_same_hdus, every_kind, opened

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.hdu_list import copy_hdus, read_hdus, write_hdus


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


def test_second_primary_is_refused(tmp_path):
    with pytest.raises(fits.VerifyError, match="element 1 is not an extension HDU"):
        rewritten(fits.HDUList([fits.PrimaryHDU(), fits.PrimaryHDU()]), tmp_path)

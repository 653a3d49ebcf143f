"""HDUs of a file as an HDUList: all, or those asked for, by name, number or name and version."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from astropy.io import fits
from fits_samples import (
    DAMAGES,
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
from spherex_butler.formats.fits.hdu_list import read_hdus, read_headers

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


@pytest.mark.parametrize("pair", [*itertools.permutations(range(1, 7), 2)])
def test_any_selection_keeps_the_order_of_the_file(pair):
    got = read_hdus(opened(RAW), list(pair))
    assert [hdu.name for hdu in got[1:]] == [every_kind()[n].name for n in sorted(pair)]


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


@pytest.mark.parametrize("read", [read_hdus, read_headers])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_refused(read, damage):
    spoil, why = DAMAGES[damage]
    with pytest.raises(FormatError, match=why):
        read(opened(spoil(written(every_kind()[:5]))))

from __future__ import annotations

import copy
import pickle
import re

import pytest
from astropy.io import fits

from spherex_butler.lazy_header import LazyHeader, find_card
from spherex_butler.testing.templates import image_template

LONG = "a string that is too long for one card and so goes on, " * 3 + "end"


@pytest.fixture
def header():
    header = image_template().copy()
    header["LONG"] = LONG
    header["UNDEF"] = None
    header["COMMENT"] = "DETECTOR=                    9 is no card"
    return header


@pytest.fixture
def lazy(header):
    return LazyHeader(header.tostring(endcard=False, padding=False).encode("ascii"))


def cards(header):
    return [card.image for card in header.cards]


@pytest.mark.parametrize("kind", ["bytes", "parsed", "header"])
def test_single_cards_are_those_of_the_whole_header(header, lazy, kind):
    if kind == "parsed":
        _ = lazy.header
    elif kind == "header":
        lazy = LazyHeader(header)
    for keyword in header:
        if keyword not in {"COMMENT", "HISTORY", ""}:
            assert lazy.get(keyword) == header[keyword]
    assert lazy.get("NOSUCH", 5) == 5
    assert lazy.get("REFCAT.NOSUCH") is None


def test_long_string_is_read_whole(lazy):
    assert lazy.get("LONG") == LONG


def test_card_in_a_comment_is_no_card():
    text = f"{'COMMENT DETECTOR=                    9':80}".encode()
    assert find_card(text, "DETECTOR") is None
    assert find_card(f"{'DETECTO1= 8':76}".encode() + b"DETECTO2= 9", "DETECTO2") is None


def test_header_is_parsed_once_and_is_the_written_one(header, lazy):
    assert lazy.header is lazy.header
    assert cards(lazy.header) == cards(header)


@pytest.mark.parametrize("parse", [False, True])
def test_selected_cards_are_copies(header, lazy, parse):
    if parse:
        _ = lazy.header
    chosen = lazy.selected(re.compile(r"CRVAL\d"))
    assert list(chosen) == ["CRVAL1", "CRVAL2"]
    chosen["CRVAL1"] = 0.0
    assert lazy.get("CRVAL1") == header["CRVAL1"]


@pytest.mark.parametrize("parse", [False, True])
def test_cutout_shifts_every_wcs_and_nothing_else(header, lazy, parse):
    if parse:
        _ = lazy.header
    cut = lazy.cutout((100, 30), (7, 9)).cutout((5, 0), (6, 4))
    expected = header.copy()
    for suffix in ("", "A", "W"):
        expected[f"CRPIX1{suffix}"] -= 105
        expected[f"CRPIX2{suffix}"] -= 30
    expected["NAXIS1"], expected["NAXIS2"] = 4, 6
    assert [cut.get(keyword) for keyword in ("CRPIX1A", "NAXIS1", "DETECTOR")] == [-104.0, 4, header["DETECTOR"]]
    assert dict(cut.selected(re.compile(r"CRPIX\d[AW]?")).items()) == {
        k: v for k, v in expected.items() if k.startswith("CRPIX")
    }
    assert cards(cut.header) == cards(expected)
    assert lazy.get("CRPIX1A") == 1.0


def test_cutout_is_free_of_later_changes(lazy):
    _ = lazy.header
    cut = lazy.cutout((1, 1), (2, 2))
    lazy.header["DETECTOR"] = 6
    assert cut.get("DETECTOR") == cut.header["DETECTOR"] == 3


@pytest.mark.parametrize("duplicate", [copy.deepcopy, LazyHeader.copy, lambda h: pickle.loads(pickle.dumps(h))])
@pytest.mark.parametrize("parse", [False, True])
def test_copies_are_equal_and_independent(lazy, duplicate, parse):
    cut = lazy.cutout((3, 4), (5, 6))
    if parse:
        _ = cut.header
    twin = duplicate(cut)
    twin.header["DETECTOR"] = 9
    assert cut.get("DETECTOR") != 9
    del twin.header["DETECTOR"]
    other = cut.header.copy()
    del other["DETECTOR"]
    assert cards(twin.header) == cards(other)


def test_card_without_a_value_is_none():
    lazy = LazyHeader(b"UNDEF   =".ljust(80))
    assert lazy.get("UNDEF", 3) is None
    assert fits.Header.fromstring("UNDEF   =".ljust(80))["UNDEF"] is None

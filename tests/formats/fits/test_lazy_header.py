from __future__ import annotations

import copy
import pickle
import re

import pytest
from astropy.io import fits

from spherex_butler.formats.fits.lazy_header import LazyHeader, card_value, find_card
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


@pytest.fixture(params=["bytes", "parsed"])
def either(request, lazy):
    """The header, before and after it was parsed."""
    if request.param == "parsed":
        _ = lazy.header
    return lazy


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


def test_long_string_is_read_whole_without_parsing_the_header(lazy):
    assert lazy.get("LONG") == LONG
    assert lazy._header is None


def test_card_in_a_comment_is_no_card():
    text = f"{'COMMENT DETECTOR=                    9':80}".encode()
    assert find_card(text, "DETECTOR") is None
    assert find_card(f"{'DETECTO1= 8':76}".encode() + b"DETECTO2= 9", "DETECTO2") is None


def test_header_is_parsed_once_and_is_the_written_one(header, lazy):
    assert lazy.header is lazy.header
    assert cards(lazy.header) == cards(header)


def test_selected_cards_are_copies(header, either):
    chosen = either.selected(re.compile(r"CRVAL\d"))
    assert list(chosen) == ["CRVAL1", "CRVAL2"]
    chosen["CRVAL1"] = 0.0
    assert either.get("CRVAL1") == header["CRVAL1"]


def test_cutout_shifts_every_wcs_and_nothing_else(header, either):
    cut = either.cutout((100, 30), (7, 9)).cutout((5, 0), (6, 4))
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
    assert either.get("CRPIX1A") == 1.0


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


def test_chosen_values_are_those_of_the_whole_header(header, either):
    pattern = re.compile(r"NAXIS\d?|C[A-Z]{4}[12]|[AB]_\d_\d|EXTNAME")
    expected = {keyword: header[keyword] for keyword in header if pattern.fullmatch(keyword)}
    assert either.values(pattern) == expected != {}
    assert either.cutout((3, 4), (5, 6)).values(re.compile("NAXIS1|CRPIX2")) == {
        "NAXIS1": 6,
        "CRPIX2": header["CRPIX2"] - 4,
    }


CARDS = [
    "A       =                    T",
    "A       = F / no",
    "A       = 12",
    "A       = -007",
    "A       =                  1.0 / one",
    "A       = -1.5E-03",
    "A       = 1.E5",
    "A       = .5",
    "A       = 1e3",
    "A       = 1.5D3",
    "A       = 'text    '           / and / more",
    "A       = ''",
    "A       = '        '",
    "A       = 'it''s'",
    "A       = 'a / b'",
    "A       = ' leading'",
    "A       = 'time: 12:30'",
    "A       = (1.0, 2.0)",
    "A       =",
    "A       = / nothing",
    "HIERARCH LONG_KEYWORD = 5 / five",
    "HIERARCH LONG_KEYWORD= 'text'",
]


@pytest.mark.parametrize("card", CARDS)
def test_value_of_a_card_is_astropys(card):
    found, expected = card_value(f"{card:80}".encode()), fits.Card.fromstring(f"{card:80}").value
    expected = None if isinstance(expected, fits.card.Undefined) else expected
    assert (found, type(found)) == (expected, type(expected))


def test_long_keyword_is_found_among_hierarch_cards():
    cards = [
        "HIERARCH SPS_TARGETS = 1",
        "HIERARCH SPS_TARGET B = 2",
        "HIERARCH SPS_TARGET= 3",
        "HIERARCH SPS_TARGET = 4",
    ]
    lazy = LazyHeader("".join(f"{card:80}" for card in cards).encode())
    assert lazy.get("SPS_TARGET") == 3
    assert lazy.get("SPS_TARGE_") is None


def test_long_keyword_is_found_without_parsing_the_header(lazy):
    assert (lazy.get("SPS_TARGET"), lazy.get("NON_SURVEY")) == (87514, "False")
    assert lazy._header is None

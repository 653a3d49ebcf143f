"""Tables that a screen reader can read, and words for parts."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from astropy.time import Time

from spherex_butler.report.markup import Markup
from spherex_butler.report.tables import bar, day, many, share, table


def test_columns_and_rows_have_headings_and_numbers_are_set_to_the_right():
    found = ET.fromstring(table("What", ("Name", "Count", "Note"), [("a", 1234, None), ("b", None, "x")]))
    (inner,) = found
    assert inner.find("caption").text == "What"
    assert [cell.get("scope") for cell in inner.iter("th")] == ["col", "col", "col", "row", "row"]
    cells = [(cell.text, cell.get("class")) for cell in inner.iter("td")]
    assert cells == [("1,234", "n"), ("–", "s"), ("–", "n"), ("x", "s")]


def test_a_column_in_which_nothing_is_known_is_none_of_numbers():
    found = ET.fromstring(table("What", ("Name", "To do"), [("a", None)]))
    assert [cell.get("class") for cell in found.iter("th")] == [None, None, None]


def test_long_texts_may_have_several_lines():
    assert ET.fromstring(table("What", ("a", "b"), [("a", "word " * 20)])).find(".//td").get("class") is None


def test_long_tables_are_folded_away():
    rows = Markup("<p/>")
    assert many("Things", rows, 20) is rows
    assert "<summary>Things: a table of 1,021 rows</summary><p/>" in many("Things", rows, 1021)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "0 %"),
        (0, 9, "0 %"),
        (1, 100_000, "< 0.1 %"),
        (1, 3, "33.3 %"),
        (99_999, 100_000, "99.9 %"),
        (9, 9, "100 %"),
    ],
)
def test_what_is_not_all_is_never_said_to_be(part, whole, expected):
    assert share(part, whole).replace("\N{NO-BREAK SPACE}", " ") == expected


def test_bars_are_in_proportion_and_for_the_eye_alone():
    found = ET.fromstring(bar(1, 4))
    assert (found.get("aria-hidden"), found[0].get("width")) == ("true", "25")
    assert ET.fromstring(bar(0, 0))[0].get("width") == "0"


def test_times_are_utc_to_the_minute():
    assert day(Time("2025-05-01T00:00:36", scale="tai")) == "2025-04-30 23:59"
    assert day(None) is None

"""Charts: bars as high as their numbers, readable for hundreds."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from spherex_butler.report.charts import Stack, channel_chart, stacked_chart


def chart(number: int) -> ET.Element:
    stacks = [Stack(f"2025W{place}_1A", {"qr2": 10 * place, "qr3": 5}) for place in range(number)]
    return ET.fromstring(stacked_chart("Images", stacks, ["qr2", "qr3"]))[0]


def test_parts_of_a_bar_stand_on_each_other_in_proportion():
    bars = [group.findall("rect") for group in chart(4).findall("g")]
    below, above = bars[3]
    assert float(below.get("height")) == pytest.approx(6 * float(above.get("height")), abs=0.1)
    assert float(above.get("y")) + float(above.get("height")) == pytest.approx(float(below.get("y")), abs=0.02)
    assert [rect.get("class") for rect in bars[3]] == ["k0", "k1"]
    assert len(bars[0]) == 1  # of nothing there is no part


@pytest.mark.parametrize("number", [1, 12, 137, 300, 2000])
def test_every_bar_is_in_the_picture_and_names_do_not_touch(number):
    found = chart(number)
    width = float(found.get("viewBox").split()[2])
    bars = [rect for group in found.findall("g") for rect in group.findall("rect")]
    assert len(found.findall("g")) == number
    assert max(float(rect.get("x")) + float(rect.get("width")) for rect in bars) <= width
    assert min(float(rect.get("width")) for rect in bars) >= 1
    names = [float(name.get("x")) for name in found.findall("text") if "middle" in name.get("class")]
    assert all(after - before > 80 for before, after in pairwise(names))


def test_a_bar_says_what_it_is_when_it_is_pointed_at():
    title = chart(4).findall("g")[3].find("title").text
    assert title == "2025W3_1A: qr2 30, qr3 5"


@pytest.mark.parametrize(("largest", "top"), [(0.7, "0.8"), (10_620, "15,000"), (5, "5"), (101, "150")])
def test_axes_end_at_round_numbers_above_all_bars(largest, top):
    found = ET.fromstring(channel_chart("Channels", {(1, 1): largest}, {1: "D1\nµm"}, {(1, 1): "x"}))[0]
    assert [text.text for text in found.findall("text") if "end" in text.get("class")][-1] == top


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (0.0002, ["0", "0.00005", "0.00010", "0.00015", "0.00020"]),
        (0.00009, ["0", "0.00002", "0.00004", "0.00006", "0.00008", "0.00010"]),
        (10, ["0", "2", "4", "6", "8", "10"]),
    ],
)
def test_values_of_an_axis_are_written_alike(largest, expected):
    found = ET.fromstring(channel_chart("Channels", {(1, 1): largest}, {1: "D1\nµm"}, {(1, 1): "x"}))[0]
    assert [text.text for text in found.findall("text") if "end" in text.get("class")] == expected

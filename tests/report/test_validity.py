"""The chart of validity: ranges from where they begin to where they end, in the time that was observed."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from astropy.time import Time
from calibration_repositories import DARK, NEWER_DARK, register
from lsst.daf.butler import Timespan
from made_once import new_repo

from spherex_butler.calibrations import Certification
from spherex_butler.report.validity import lines_of, validity_chart

OBSERVED = (Time("2025-05-01"), Time("2026-05-01"))


@pytest.fixture(scope="module")
def darks():
    """Datasets of two tokens for detectors 1 to 3, in order of detectors."""
    with new_repo() as butler:
        return [
            sorted(register(butler, "dark", token), key=lambda ref: ref.dataId["detector"])
            for token in (DARK, NEWER_DARK)
        ]


def until(refs, *bounds: str | None) -> list[Certification]:
    begin, end = (None if bound is None else Time(bound) for bound in bounds)
    return [Certification(ref, Timespan(begin, end)) for ref in refs]


def shapes(certifications, observed=OBSERVED) -> list[tuple[str, list[float]]]:
    """Return what each range is said to be, and between which places it is drawn."""
    svg = ET.fromstring(validity_chart("Validity", lines_of(certifications), observed))[0]
    found = []
    for group in (group for line in svg.findall("g") for group in line.findall("g")):
        places = [float(x) for x in re.findall(r"([\d.]+) [\d.]+", group.find("path").get("d"))]
        found.append((group.find("title").text, [min(places), max(places)]))
    return found


def test_detectors_with_the_same_ranges_share_a_line(darks):
    old, new = darks
    lines = lines_of([*until(old, None, "2025-09-01"), *until(new[:2], "2025-09-01", None)])
    assert [(line.dataset_type, line.detectors, len(line.certifications)) for line in lines] == [
        ("dark", "D1, D2", 2),
        ("dark", "D3", 1),
    ]
    assert lines_of(until(old, None, None))[0].detectors == "D1–D3"


def test_ranges_meet_where_one_ends_and_the_next_begins(darks):
    (_, first), (_, second) = shapes(
        [*until(darks[0][:1], None, "2025-09-01"), *until(darks[1][:1], "2025-09-01", None)]
    )
    assert first[1] == second[0]
    assert first[0] == 250
    assert second[1] == 1064  # the edges of the drawing


def test_a_range_far_away_is_drawn_at_the_edge_and_told_exactly(darks):
    ((title, (begin, end)),) = shapes(until(darks[0][:1], "2028-01-01", "2028-02-01T00:00:01"))
    assert 250 <= begin < end <= 1064
    assert title == f"dark D1: {DARK}, valid from 2028-01-01T00:00:00 until 2028-02-01T00:00:01 UTC"


def test_without_any_bound_ranges_go_all_the_way(darks):
    ((_, places),) = shapes(until(darks[0][:1], None, None), observed=None)
    assert places == [250, 1064]


@pytest.mark.parametrize("years", [0.01, 0.5, 2, 30, 200])
def test_there_are_a_few_ticks_for_any_length(darks, years):
    end = Time(OBSERVED[0].mjd + 365.25 * years, format="mjd", scale="tai")
    svg = ET.fromstring(validity_chart("Validity", lines_of(until(darks[0], None, None)), (OBSERVED[0], end)))[0]
    ticks = [text.text for text in svg.findall("text")]
    assert 1 <= len(ticks) <= 9
    assert all(re.fullmatch(r"\d{4}-\d{2}", tick) for tick in ticks)

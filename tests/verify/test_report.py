"""The report of a check: what is listed, what is only counted, and what to do."""

from __future__ import annotations

import json

import pytest

from spherex_butler.verify import Kind
from spherex_butler.verify.report import ADVICE, Findings


@pytest.fixture
def findings() -> Findings:
    """Problems and notes, of each kind no more than two listed."""
    found = Findings(2)
    found.checked.update(images=12)
    for number in range(1, 5):
        found.add(Kind.FILE_MISSING, f"file {number}", "is not there.")
        found.add(Kind.NO_CALIBRATION, f"dark D{number}", "there are some of qr3 only.", count=10, problem=False)
    found.add(Kind.NO_CALIBRATION, "nonfunc D3", "no validity range is certified.", count=3)
    return found


def test_findings_beyond_the_limit_are_counted_and_notes_take_no_place_of_problems(findings):
    assert str(findings.report()).splitlines() == [
        "image without calibration: nonfunc D3: no validity range is certified.",
        "note: image without calibration: dark D1: there are some of qr3 only.",
        "note: image without calibration: dark D2: there are some of qr3 only.",
        "file missing: file 1: is not there.",
        "file missing: file 2: is not there.",
        "file missing: 2 more like these",
        "note: image without calibration: 20 more like these",
        f"to do: image without calibration: {ADVICE[Kind.NO_CALIBRATION]}",
        f"to do: file missing: {ADVICE[Kind.FILE_MISSING]} no command can name them.",
        "12 images, 0 datasets, 0 files checked; 5 problems",
    ]


def test_report_is_what_json_can_hold(findings):
    data = json.loads(json.dumps(findings.report().to_dict()))
    assert (data["ok"], data["checked"]["images"]) == (False, 12)
    assert (data["unlisted"], data["unlisted_notes"]) == ({"file_missing": 2}, {"no_calibration": 20})
    assert data["findings"][0] == {
        "kind": "no_calibration",
        "subject": "nonfunc D3",
        "message": "no validity range is certified.",
        "count": 3,
        "problem": True,
        "dataset": None,
    }


def test_notes_alone_are_no_problems():
    found = Findings(0)
    found.add(Kind.REGION_NULL, "2025W51_1A", "2 images without region.", count=2, problem=False)
    report = found.report()
    assert (report.ok, report.problems, report.unlisted) == (True, (), {})
    assert report.lines()[-1].endswith("checked; no problems")


def test_one_of_a_kind_is_singular_and_thousands_are_separated():
    found = Findings(0)
    found.checked.update(images=1, datasets=1200, files=1)
    assert found.report().summary == "1 image, 1,200 datasets, 1 file checked; no problems"

"""The check of calibrations: which images find none or two, as Butler's own look-up does, and what is only noted."""

from __future__ import annotations

import re

import astropy.units as u
import pytest
from astropy.io import fits
from damage import ALWAYS, DARK_RUN, certify, certify_others, damage, found, kinds, put_dark, timespans
from lsst.daf.butler import Butler, CalibrationLookupError, CollectionType, DatasetType, Timespan

from spherex_butler.verify import Kind, check_repository

NEWER_RUN, OWN_RUN, OWN_COLLECTION = "spx/cal-drk-v5-2026-001", "u/me/dark", "u/me/calib"


def exposure_times(butler: Butler) -> dict[str, object]:
    """Return times before, in and after the two exposures."""
    first, second = timespans(butler)
    return {
        "-10 days": first.begin - 10 * u.day,
        "-5 days": first.begin - 5 * u.day,
        "first begin": first.begin,
        "first end": first.end,
        "second begin": second.begin,
        "in second": second.begin + (second.end - second.begin) / 2,
        "second end": second.end,
        "open": None,
    }


def look_up(butler: Butler, timespan: Timespan) -> str | None:
    """Return the run of the dark of detector 3 that Butler finds."""
    found = butler.find_dataset(
        "dark", instrument="SPHEREx", detector=3, collections="SPHEREx/defaults", timespan=timespan
    )
    return None if found is None else found.run


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        pytest.param([(DARK_RUN, "open", "open")], {}, id="valid always"),
        pytest.param([(DARK_RUN, "open", "in second")], {}, id="exposure over the end of the last range"),
        pytest.param([(DARK_RUN, "open", "first end"), (NEWER_RUN, "first end", "open")], {}, id="ranges that meet"),
        pytest.param(
            [(DARK_RUN, "first end", "second begin")],
            {
                Kind.NO_CALIBRATION: [
                    "2025-12-18T05:09.* exposure 20255110106842: the first validity range begins 2025-12-18T05:11:29",
                    "1 image from .* exposure 20255110106843: the last validity range ends 2025-12-18T05:11:43",
                ]
            },
            id="images outside of the range",
        ),
        pytest.param(
            [(DARK_RUN, "open", "first begin"), (NEWER_RUN, "second begin", "open")],
            {Kind.NO_CALIBRATION: ["nothing is valid from 2025-12-18T05:09:34"], Kind.RANGE_GAP: ["nothing is valid"]},
            id="image in a gap",
        ),
        pytest.param(
            [(DARK_RUN, "open", "-10 days"), (DARK_RUN, "-5 days", "open")],
            {Kind.RANGE_GAP: ["nothing is valid from 2025-12-08"]},
            id="gap without images",
        ),
        pytest.param(
            [(DARK_RUN, "open", "in second"), (NEWER_RUN, "in second", "open")],
            {
                Kind.RANGE_BOUND: [
                    r"two calibrations in SPHEREx/calib, cal-drk-v4-2025-161 \(until 2025-12-18T05:12.* and cal-drk-v5-"
                ]
            },
            id="bound inside an exposure",
        ),
        pytest.param(
            [(DARK_RUN, "open", "in second"), (DARK_RUN, "in second", "open")],
            {Kind.RANGE_BOUND: [r"two ranges of one calibration in SPHEREx/calib, cal-drk-v4-2025-161 \(until "]},
            id="bound inside an exposure, of one calibration",
        ),
        pytest.param(
            [
                (OWN_RUN, "second begin", "second end"),
                (DARK_RUN, "open", "in second"),
                (NEWER_RUN, "in second", "open"),
            ],
            {Kind.RANGE_OVERLAP: ["u/me/dark .* in u/me/calib hides "] * 2},
            id="bound in a collection that another hides",
        ),
        pytest.param(
            [(OWN_RUN, "open", "open"), (DARK_RUN, "open", "open")],
            {Kind.RANGE_OVERLAP: [r"u/me/dark \(always\) in u/me/calib hides cal-drk-v4-2025-161 \(always\) in SPHER"]},
            id="hidden by another collection",
        ),
    ],
)
def test_check_finds_what_butler_finds(butler, ranges, expected):
    times = exposure_times(butler)
    refs = {run: put_dark(butler, run=run) for run in {run for run, *_ in ranges}}
    if OWN_RUN in refs:
        butler.collections.register(OWN_COLLECTION, CollectionType.CALIBRATION)
        butler.collections.prepend_chain("SPHEREx/defaults", OWN_COLLECTION)
    for run, begin, end in ranges:
        collection = OWN_COLLECTION if run == OWN_RUN else "SPHEREx/calib"
        certify(butler, refs[run], Timespan(times[begin], times[end]), collection)
    certify_others(butler)
    report = check_repository(butler)
    for kind in (Kind.NO_CALIBRATION, Kind.RANGE_GAP, Kind.RANGE_BOUND, Kind.RANGE_OVERLAP):
        messages = found(report, kind)
        assert len(messages) == len(expected.get(kind, []))
        for message, pattern in zip(messages, expected.get(kind, []), strict=True):
            assert message.startswith("dark D3: ")
            assert re.search(pattern, message)
    assert kinds(report) == {*expected} - {Kind.RANGE_GAP, Kind.RANGE_OVERLAP}
    if Kind.RANGE_BOUND in expected:
        with pytest.raises(CalibrationLookupError, match="Ambiguous calibration"):
            look_up(butler, timespans(butler)[1])
    else:
        missing = [timespan for timespan in timespans(butler) if look_up(butler, timespan) is None]
        assert bool(missing) == (Kind.NO_CALIBRATION in expected)


def test_detectors_without_a_certified_dataset_are_found(butler):
    certify(butler, put_dark(butler, 3))
    put_dark(butler, 4)
    report = check_repository(butler)
    messages = found(report, Kind.NO_CALIBRATION)
    stretch = "from 2025-12-18T05:09:34 until 2025-12-18T05:13:38 UTC, the first of exposure 20255110106842"
    assert messages == [
        f"dark D1, D2, D5, D6: 8 images {stretch}: there are datasets for D3, D4 only.",
        f"dark D4: 2 images {stretch}: no validity range is certified.",
    ]
    assert [(finding.kind, finding.count) for finding in report.problems] == [
        (Kind.NO_CALIBRATION, 8),
        (Kind.NO_CALIBRATION, 2),
    ]
    assert report.lines()[-1].endswith("checked; 2 problems, 10 images without calibrations")


def test_image_that_lacks_calibrations_of_several_types_counts_once(butler):
    put_dark(butler, 3)
    butler.collections.register("spx/base-2025-158")
    butler.registry.insertDatasets("gain_factors", [{"instrument": "SPHEREx"}], run="spx/base-2025-158")
    report = check_repository(butler)
    counts = [finding.count for finding in report.problems if finding.kind is Kind.NO_CALIBRATION]
    assert counts == [10, 2, 12]
    assert report.uncalibrated == 12
    assert report.summary.endswith(" problems, 12 images without calibrations")


def test_gap_of_several_detectors_is_said_once(butler):
    first, _ = timespans(butler)
    for detector in range(1, 7):
        ref = put_dark(butler, detector)
        certify(butler, ref, Timespan(None, first.begin - 5 * u.day))
        certify(butler, ref, Timespan(first.begin, None))
    report = check_repository(butler)
    (gap,) = found(report, Kind.RANGE_GAP)
    assert gap.startswith("dark D1, D2, D3, D4, D5, D6: nothing is valid from 2025-12-13T05:09:34 until 2025-12-18T05")
    assert report.ok


def test_repository_without_any_calibrations_is_noted_in_a_line(butler):
    (note,) = check_repository(butler).findings
    expected = "all types: the repository has none from the archive, so images are not expected to have any."
    assert str(note) == f"note: no such calibrations: {expected}"


@pytest.mark.parametrize(
    ("kind", "detector", "expected"),
    [
        ("dichroic", {"detector": 3}, ["dichroic D3: 2 images", "dichroic D4: 2 images"]),
        ("gain_factors", {}, ["gain_factors: 12 images from"]),
    ],
)
def test_type_is_expected_of_the_detectors_that_the_archive_has_it_for(butler, kind, detector, expected):
    butler.collections.register("spx/base-2025-158")
    butler.registry.insertDatasets(kind, [{"instrument": "SPHEREx"} | detector], run="spx/base-2025-158")
    messages = found(check_repository(butler), Kind.NO_CALIBRATION)
    assert [message[: len(begin)] for message, begin in zip(messages, expected, strict=True)] == expected


def test_calibrations_of_another_release_are_only_noted(butler):
    run = "spx/cal-epsf-v1-2026-191"  # of qr3, which these images are not
    butler.collections.register(run)
    butler.put(fits.HDUList([fits.PrimaryHDU()]), "epsf", instrument="SPHEREx", detector=3, run=run)
    report = check_repository(butler)
    assert report.ok
    messages = found(report, Kind.NO_CALIBRATION)
    assert messages[0].startswith("epsf D1, D2, D4, D5, D6: 10 images from")
    assert messages[0].endswith("there are datasets for D3 only; there are some of qr3 only.")
    assert messages[1].endswith("certified; there are some of qr3 only.")
    assert report.summary.endswith("checked; no problems")


def test_overlap_in_one_collection_is_a_problem(butler):
    first, second = timespans(butler)
    certify(butler, put_dark(butler), Timespan(None, first.end))
    certify(butler, put_dark(butler, run=NEWER_RUN), Timespan(first.end, None))
    table = butler._registry._managers.datasets._find_storage("dark").dynamic_tables.calibs_name
    begin, _ = second.nsec
    damage(butler, f"UPDATE {table} SET timespan_end = {begin} WHERE timespan_begin = {ALWAYS.nsec[0]}")
    (message,) = found(check_repository(butler), Kind.RANGE_OVERLAP)
    assert message.startswith("dark D3: cal-drk-v4-2025-161 (until ")
    assert message.endswith("overlap in SPHEREx/calib.")


def test_types_that_cannot_be_looked_up_are_noted_once(butler):
    kind = DatasetType("skyflat", ["instrument", "channel"], "CCDData", universe=butler.dimensions, isCalibration=True)
    butler.registry.registerDatasetType(kind)
    certify(butler, put_dark(butler))
    report = check_repository(butler)
    (other,), (absent,) = found(report, Kind.NOT_CHECKED), found(report, Kind.TYPE_ABSENT)
    assert other.startswith("skyflat: have other dimensions than instrument and detector")
    assert "nonfunc" in absent
    assert "dark" not in absent

"""Headers that contradict the records of their exposure or region: kept out, warned of, or replaced on request."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from archive_samples import sia_table
from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler import Butler

from spherex_butler import SpectralImage
from spherex_butler.archive import ingest_archive_table
from spherex_butler.ingest import ingest_files, preview_ingest
from spherex_butler.repository.reports import Report
from spherex_butler.testing import write_level2

SECOND = 1 / 86_400
ARCMINUTE = 1 / 60


@pytest.fixture
def reprocessed(files: list[Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a later processing of the third file, with a header moved in time or on the sky."""

    def write(*, later: float = 0.0, north: float = 0.0, east: float = 0.0) -> Path:
        path = tmp_path / files[2].name.replace("l2b-v21-2025-354", "l2b-v25-2026-206")
        with fits.open(files[2]) as hdus:
            header = hdus["IMAGE"].header
            for keyword in ("MJD-BEG", "MJD-END"):
                header[keyword] += later
            header["CRVAL1"] += east
            header["CRVAL2"] += north
            hdus.writeto(path)
        return path

    return write


def seen_at(butler: Butler, ra: float, dec: float) -> int:
    where = f"exposure_detector_region.region OVERLAPS POINT({ra}, {dec})"
    return len(butler.query_datasets("level2", where=where, detector=3, explain=False))


def whole(report: Report) -> tuple[list[str], list[str]]:
    """Return reasons and warnings."""
    return [failure.reason for failure in report.failed], report.warnings


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ({"later": 0.2}, "the exposure is known to be from 2025-12-18T05:09:34.64"),
        ({"east": 190.0}, r"the image is known to be at RA 10.0\d+°, Dec 40.\d+°, and is at RA 200.0\d+°, Dec 40"),
        ({"north": 0.4}, "24.0' away"),
    ],
)
def test_another_moment_or_place_is_kept_out(butler, files, reprocessed, moved, said):
    assert len(ingest_files(butler, files).ingested) == 6
    path = reprocessed(**moved)
    for report in (preview_ingest(butler, path), ingest_files(butler, path)):
        ((reason,), warnings) = whole(report)
        assert warnings == []
        assert "nothing was changed. If the header is right, --update-records" in reason
        assert re.search(said, reason)
    assert len(butler.query_datasets("level2", collections="spx/*", find_first=False)) == 6


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ({"later": 10 * SECOND}, "from 2025-12-18T05:09:44.6"),
        ({"north": 3 * ARCMINUTE}, "2.8' beyond what is known"),
    ],
)
def test_a_small_difference_goes_in_with_a_warning(butler, files, reprocessed, moved, said):
    ingest_files(butler, files)
    path = reprocessed(**moved)
    records = butler.query_dimension_records("exposure"), butler.query_dimension_records("exposure_detector_region")
    for report in (preview_ingest(butler, path), ingest_files(butler, path)):
        (reasons, (warning,)) = whole(report)
        assert reasons == []
        assert said in warning
        assert "what is on record stays, but --update-records" in warning
    assert len(report.ingested) == 1
    assert records == (
        butler.query_dimension_records("exposure"),
        butler.query_dimension_records("exposure_detector_region"),
    )


@pytest.mark.parametrize("moved", [{"later": 0.09 * SECOND}, {"north": 0.9 * ARCMINUTE}])
def test_what_archive_tables_round_is_no_difference(butler, files, reprocessed, moved):
    ingest_files(butler, files)
    assert whole(ingest_files(butler, reprocessed(**moved))) == ([], [])


def test_update_takes_the_new_place(butler, files, reprocessed):
    ingest_files(butler, files)
    path = reprocessed(east=190.0, later=0.2)
    assert whole(preview_ingest(butler, path, update_records=True)) == ([], [])
    report = ingest_files(butler, path, update_records=True)
    assert whole(report) == ([], [])
    assert {(change.element, change.field) for change in report.updated} == {
        ("exposure", "timespan"),
        ("exposure_detector_region", "region"),
    }
    assert (seen_at(butler, 200.086, 40.9), seen_at(butler, 10.086, 40.9)) == (1, 0)
    assert ingest_files(butler, path, update_records=True).updated == []


@pytest.mark.parametrize("apart", [False, True])
def test_second_detector_hours_later_is_kept_out(butler, files, apart):
    with fits.open(files[1], mode="update") as hdus:
        for keyword in ("MJD-BEG", "MJD-END"):
            hdus["IMAGE"].header[keyword] += 0.2
    reports = [ingest_files(butler, some) for some in ((files[:1], files[1:]) if apart else (files,))]
    assert sum(len(report.ingested) for report in reports) == 5
    (failure,) = reports[-1].failed
    assert failure.uri == files[1].as_uri()
    assert "from 2025-12-18T09:57:34" in failure.reason


def test_second_detector_of_another_pointing_is_kept_out(butler, files):
    with fits.open(files[1], mode="update") as hdus:
        hdus["IMAGE"].header.set("SPS_ELON", 100.0, "")
    (failure,) = ingest_files(butler, files).failed
    assert failure.uri == files[1].as_uri()
    assert "the telescope is known to point at RA" in failure.reason


@pytest.mark.parametrize("cutout_first", [False, True])
def test_only_the_whole_image_after_its_cutout_is_warned_of(butler, tmp_path, cutout_first):
    whole_image = write_level2(tmp_path, detector=3, size=96)
    cutout = tmp_path / whole_image.name.replace("l2b-v21-2025-354", "l2b-v25-2026-206")
    SpectralImage.read(whole_image).cutout((1020, 1020), 8).write(cutout)
    first, second = (cutout, whole_image) if cutout_first else (whole_image, cutout)
    assert whole(ingest_files(butler, first)) == ([], [])
    reasons, warnings = whole(ingest_files(butler, second))
    assert reasons == []
    assert ["beyond what is known" in warning for warning in warnings] == [True] * cutout_first


def test_region_that_was_unknown_is_warned_of(butler, files, reprocessed):
    later = reprocessed()
    with fits.open(files[2], mode="update") as hdus:
        for keyword in ("CTYPE1", "CTYPE2"):
            del hdus["IMAGE"].header[keyword]
    ingest_files(butler, files[2])
    (reasons, (warning,)) = whole(ingest_files(butler, later))
    assert reasons == []
    assert "the image is known to have no region, and has a region by this header" in warning


def archive_rows(**changes: Callable[[object], object]) -> Table:
    """Return a row of the archive and a later processing of it, of which columns are changed."""
    table = sia_table()[:2]
    table[1] = table[0]
    table["access_url"][1] = table["access_url"][0].replace("l2b-v21-2025-354", "l2b-v25-2026-206")
    for column, change in changes.items():
        table[column][1] = change(table[column][0])
    return table


def turned(region: str) -> str:
    *words, corners = region.split(" ", 2)
    numbers = np.array(corners.split(), float)
    numbers[::2] = (numbers[::2] + 190) % 360
    return " ".join([*words, *map(str, numbers)])


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"t_min": lambda time: time + 0.2, "t_max": lambda time: time + 0.2}, "the exposure is known to be from"),
        ({"s_region": turned}, "the image is known to be at RA"),
    ],
)
def test_archive_row_of_another_moment_or_place_is_kept_out(butler, changes, said, together):
    table = archive_rows(**changes)
    report = None
    for some in (table,) if together else (table[:1], table[1:]):
        report = ingest_archive_table(butler, some, report=report)
    (failure,) = report.failed
    assert (len(report.ingested), failure.uri) == (1, table["access_url"][1])
    assert said in failure.reason
    assert "'butler spherex ingest --update-records' with its URL" in failure.reason
    assert ingest_archive_table(butler, table[:1]).summary == "0 ingested, 1 already there, 0 failed"


def test_archive_row_of_a_moment_later_goes_in_with_a_warning(butler):
    table = archive_rows(t_min=lambda time: time + 10 * SECOND, t_max=lambda time: time + 10 * SECOND)
    report = ingest_archive_table(butler, table)
    (reasons, (warning,)) = whole(report)
    assert (reasons, len(report.ingested)) == ([], 2)
    assert "what is on record stays" in warning


def test_archive_rows_of_what_is_there_are_skipped_whatever_they_say(butler):
    table = archive_rows(s_region=turned)
    ingest_archive_table(butler, table[:1])
    table["access_url"][1] = table["access_url"][0]
    assert ingest_archive_table(butler, table[1:]).summary == "0 ingested, 1 already there, 0 failed"

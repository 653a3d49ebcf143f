"""The check of a repository: what is found, what is only noted, and at what cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from damage import ALWAYS, certify, certify_others, damage, found, images, kinds, path_of, put_dark
from lsst.daf.butler import Butler
from made_once import new_repo

from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.verify import Kind, check_repository

TABLES = ("exposure_detector_region_skypix_overlap", "exposure_detector_region")
LOST_REGIONS = [f"DELETE FROM {table} WHERE detector = 3" for table in TABLES]
FIRST = 20255110106842
NULL_REGIONS = ["UPDATE exposure_detector_region SET region = NULL WHERE detector = 4"]


# Repositories that are well.


def test_new_repository_is_well(butler):
    report = check_repository(butler)
    assert report.ok
    assert report.checked == {"images": 12, "datasets": 18, "files": 18}  # six are the detectors' distortions
    assert report.lines()[-1].endswith("checked; no problems")


def test_empty_repository_is_well():
    with new_repo() as empty:
        report = check_repository(empty)
    assert (report.ok, report.findings, report.checked) == (True, (), {"images": 0, "datasets": 0, "files": 0})


def test_missing_file_makes_the_repository_ill_however_little_is_listed(butler):
    path_of(butler, images(butler)[0]).unlink()
    with Butler.from_config(butler._datastore.root) as reader:
        report = check_repository(reader, limit=0)
    assert not report.ok
    assert "put it back there, if it was moved or renamed. Or butler spherex verify REPO --fix --from" in str(report)
    assert report.lines()[-1] == "12 images, 18 datasets, 18 files checked; 1 problem"


# Regions and exposures.


@pytest.mark.parametrize(
    ("statements", "kind", "message"),
    [
        (
            LOST_REGIONS,
            Kind.REGION_MISSING,
            f"2 images without region row, the first exposure {FIRST} detector 3.",
        ),
        (NULL_REGIONS, Kind.REGION_NULL, f"2 images without region, the first exposure {FIRST} detector 4."),
        (
            ["UPDATE exposure SET timespan_begin = NULL, timespan_end = NULL WHERE id = 20255110106843"],
            Kind.TIMESPAN_MISSING,
            "1 exposure without timespan, the first 20255110106843: their images find no calibrations.",
        ),
    ],
)
def test_images_without_region_or_time_are_found(butler, statements, kind, message):
    damage(butler, *statements)
    certify(butler, put_dark(butler))
    certify_others(butler)
    report = check_repository(butler)
    assert found(report, kind) == [f"2025W51_1A: {message}"]
    assert kinds(report) == {kind} - {Kind.REGION_NULL}


# The report, and what it costs.


@pytest.mark.parametrize("option", ["remote", "limit"])
def test_negative_numbers_are_refused(butler, option):
    with pytest.raises(ParameterError, match=f"{option}=-1 is negative; expected 0 or more"):
        check_repository(butler, **{option: -1})


@contextmanager
def listening(butler: Butler, listener: Callable[..., None]) -> Iterator[None]:
    """Have a function called with each statement, before it is executed."""
    engine = butler._registry._db._engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", listener)
    yield
    sqlalchemy.event.remove(engine, "before_cursor_execute", listener)


def test_number_of_queries_does_not_depend_on_the_number_of_images(archive):
    assert _queries(archive[:6]) == _queries(archive)


def _queries(files: list[Path]) -> int:
    statements: list[object] = []
    with new_repo() as butler:
        ingest_files(butler, files, transfer="direct")
        certify(butler, put_dark(butler), ALWAYS)
        with listening(butler, lambda *arguments: statements.append(arguments[2])):
            check_repository(butler)
    return len(statements)


def test_images_of_a_planning_period_are_found_through_an_index(butler):
    """Without, each of the mission's hundreds of planning periods would cost a look at all of its images."""
    plans = []

    def explain(connection, _, statement: str, parameters, *__: object) -> None:
        if statement.startswith("SELECT") and ("level2_tags" in statement or "region.region" in statement):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("\n".join(row[3] for row in plan))

    with listening(butler, explain):
        check_repository(butler)
    assert len(plans) == 3
    assert all("detector=? AND exposure>? AND exposure<?" in plan for plan in plans)

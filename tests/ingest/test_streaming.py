"""Ingest of many files: read a little ahead, in full batches, and forgotten when they are done with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spherex_butler.files.failures import FailedFile
from spherex_butler.ingest import ingest_files, plan_files
from spherex_butler.ingest.execution import BatchIngest
from spherex_butler.ingest.plan import PlannedFile
from spherex_butler.ingest.reading_ahead import batches, read_plans
from spherex_butler.repository.opened import check_opened
from spherex_butler.repository.reports import IngestReport
from spherex_butler.testing import write_level2


@pytest.fixture(scope="module")
def two_runs(archive, tmp_path_factory) -> list[PlannedFile]:
    """Files of two runs in turn."""
    folder = tmp_path_factory.mktemp("other")
    others = [write_level2(folder, detector=number, size=16, token="l2b-v22-2026-001") for number in (1, 2, 3, 4)]
    planned, _ = plan_files([*archive[:4], *others])
    return [file for pair in zip(planned[:4], planned[4:], strict=True) for file in pair]


@pytest.mark.parametrize(("processes", "ahead"), [(1, 33), (2, 9 * 32 + 1)])
def test_files_are_read_as_they_are_wanted(archive, processes, ahead):
    taken = []

    def endless() -> Iterator[Path]:
        while True:
            taken.append(1)
            yield archive[0]

    plans = read_plans(endless(), processes=processes)
    assert isinstance(next(plans), PlannedFile)
    assert len(taken) <= ahead
    plans.close()


def test_order_is_that_of_the_paths(archive):
    paths = [archive[5], archive[0].parent / "nothing", archive[7], archive[1]]
    found = [file.uri for file in read_plans(paths, processes=2)]
    assert found == [path.as_uri() for path in paths]


def test_batches_are_of_one_run_and_full(two_runs):
    report = IngestReport()
    found = list(batches([*two_runs, FailedFile("file:///x", "why")], report, size=2))
    assert [len(batch) for batch in found] == [2, 2, 2, 2, 0]
    assert all(len({file.name.run for file in batch}) == 1 for batch in found if batch)
    assert {file.uri for batch in found for file in batch} == {file.uri for file in two_runs}
    assert [file.uri for file in report.failed] == ["file:///x"]


def test_fullest_batch_goes_first_where_too_many_files_wait(two_runs):
    found = batches(two_runs[:6], IngestReport(), size=5, waiting=1)
    assert [len(batch) for batch in found] == [3, 3]


def test_slow_reading_does_not_hold_files_back(two_runs):
    def slow() -> Iterator[PlannedFile]:
        for file in two_runs[::2]:
            time.sleep(0.1)
            yield file

    assert [len(batch) for batch in batches(slow(), IngestReport(), patience=0.05)] == [1, 1, 1, 1]


def test_what_was_done_is_reported_when_a_call_is_interrupted(butler, archive):
    report = IngestReport()

    def interrupted() -> Iterator[Path]:
        yield from [archive[0]] * 24 + archive[1:]  # of which a reader is given 32
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_files(butler, interrupted(), transfer="copy", report=report, batch_size=10)
    assert len(report.ingested) == 7
    assert len(butler.query_datasets("level2", collections="SPHEREx/defaults")) == 7
    assert len(ingest_files(butler, archive, transfer="copy").ingested) == 5


def test_copies_that_take_long_are_registered_meanwhile(butler, archive):
    planned, _ = plan_files(archive[:3])
    report = IngestReport()
    ingest = BatchIngest(check_opened(butler), "copy", report, patience=0.0)
    assert [(done, len(report.ingested)) for done in ingest.ingest(planned)] == [(0, 0), (1, 1), (1, 2), (1, 3)]

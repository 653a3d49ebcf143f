"""Ingest by several processes at once, of the same exposures: nothing is lost, and nothing fails."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ingest_rounds import ingest_at_once
from lsst.daf.butler import Butler

from spherex_butler import make_repo
from spherex_butler.ingest import PlannedFile, ingest_files, plan_files
from spherex_butler.repository.exposures import insert_exposures
from spherex_butler.repository.image_refs import image_ref
from spherex_butler.repository.registration import FileRecords, register
from spherex_butler.testing import write_level2

EXPOSURES = 8


@pytest.fixture(scope="module")
def exposures(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """The detectors of each exposure, each of a processing of its own."""
    folder = tmp_path_factory.mktemp("archive")
    return [
        [
            write_level2(
                folder,
                obs_id=f"2025W51_1A_{100 + n:04d}_1",
                detector=detector,
                token=f"l2b-v21-2026-{n + 1:03d}",
                size=16,
            )
            for detector in range(1, 7)
        ]
        for n in range(EXPOSURES)
    ]


def shares(number: int, files: list[Path]) -> list[tuple[list[Path], list[Path]]]:
    """Return what each of two processes ingests of an exposure, in one round or two.

    The same, in the same or the other order; or halves that overlap; or one
    detector and then the others, so that nobody waits for the exposure's record.
    """
    if number % 2:
        return [(files[:1], files[:1]), (files[1:], files[1:] if number % 4 == 1 else files[:0:-1])]
    return [[(files, files)], [(files, files[::-1])], [(files[:4], files[2:])]][number // 2 % 3]


@pytest.fixture(params=["sqlite", "postgresql"])
def repo(request, tmp_path) -> Path:
    database = None if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    make_repo(tmp_path / "repo", database=database).close()
    return tmp_path / "repo"


@pytest.mark.parametrize("transfer", ["copy", "direct"])
def test_same_exposure_at_once(repo, exposures, transfer):
    rounds = [share for number, files in enumerate(exposures) for share in shares(number, files)]
    reports = ingest_at_once(repo, rounds, transfer)
    assert [report["failed"] for process in reports for report in process] == [[]] * 2 * len(rounds)
    new = [sum(process[number]["ingested"] for process in reports) for number in range(len(rounds))]
    assert new == [len({*first, *second}) for first, second in rounds]
    seen = [sum(process[number]["skipped"] for process in reports) for number in range(len(rounds))]
    assert seen == [len({*first} & {*second}) for first, second in rounds]
    with Butler.from_config(repo) as butler:
        refs = butler.query_datasets("level2", collections="SPHEREx/defaults", explain=False)
        assert sorted(butler.get(ref).obs_id for ref in refs) == sorted(
            f"2025W51_1A_{100 + n:04d}_1" for n in range(EXPOSURES) for _ in range(6)
        )
        regions = butler.query_dimension_records("exposure_detector_region")
        assert len({(record.exposure, record.detector) for record in regions}) == len(regions) == 6 * EXPOSURES
        newest_first = tuple(f"spx/l2b-v21-2026-{n + 1:03d}" for n in reversed(range(EXPOSURES)))
        assert butler.collections.get_info("SPHEREx/qr2").children == newest_first


def test_conflict_with_a_transaction_under_way_is_no_failure(repo, exposures):
    first, second = exposures[0][:2]
    with Butler.from_config(repo, writeable=True) as one, Butler.from_config(repo, writeable=True) as other:
        ingest_files(one, first, transfer="direct")  # so that nobody waits for the exposure's record
        planned, _ = plan_files(second)
        with ThreadPoolExecutor(1) as pool:
            with one.transaction():
                register_direct(one, planned)
                late = pool.submit(ingest_files, other, second, transfer="direct")
                time.sleep(1)  # in which the other one has come to its own registration
            report = late.result(timeout=60)
    assert (report.failed, len(report.ingested), len(report.skipped)) == ([], 0, 1)


def register_direct(butler: Butler, files: list[PlannedFile]) -> None:
    insert_exposures(butler, [file.description for file in files])
    kind, records = butler.get_dataset_type("level2"), FileRecords(butler)
    refs = [image_ref(kind, file.name.run, file.data_id["exposure"], file.data_id["detector"]) for file in files]
    register(butler, {ref: [records.at_address(ref, file.uri)] for ref, file in zip(refs, files, strict=True)})

"""The archive's tables into a repository, without asking the archive."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import mission
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from archive_samples import FIRST_KEY, IRIS, M31, ROOT, csv_of, sia_table
from astropy.table import Table
from astropy.time import Time
from forked import Script, start_script
from http_server import serve
from lsst.daf.butler import Butler, DatasetRef, FileDataset, Timespan
from lsst.resources.http import HttpResourcePath
from lsst.sphgeom import LonLat, UnitVector3d
from made_once import copy_repo, new_repo

from spherex_butler import SpectralImage, make_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.archive.tables import read_archive_table
from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.repository.exposures import insert_exposures
from spherex_butler.repository.image_refs import image_ref
from spherex_butler.repository.runs import ensure_run
from spherex_butler.testing import write_level2

RUN = "spx/l2b-v21-2025-354"
FIRST = {"instrument": "SPHEREx", "exposure": 20255110106842, "detector": 3}
IMAGES = 1500


@pytest.fixture(scope="module")
def half_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the table of some simulated images."""
    path = tmp_path_factory.mktemp("tables") / "images.parquet"
    pq.write_table(mission.table(next(mission.periods(1))).slice(0, IMAGES), path, row_group_size=500)
    return path


def rows_of(butler: Butler, table: str) -> list[tuple[object, ...]]:
    with butler._registry._db._engine.connect() as connection:
        return sorted(map(tuple, connection.execute(sqlalchemy.text(f"SELECT * FROM {table}"))), key=repr)


def test_real_rows_become_images_with_their_addresses_times_and_regions(butler):
    report = ingest_archive_table(butler, M31)
    assert (len(report.ingested), len(report.skipped), report.failed) == (6, 0, [])
    ref = butler.find_dataset("level2", FIRST)
    assert (ref, ref.run) == (report.ingested[0], RUN)
    assert str(butler.getURI(ref)) == ROOT + FIRST_KEY
    (exposure,) = butler.query_dimension_records("exposure", exposure=FIRST["exposure"])
    expected = Timespan(*Time([61027.214984, 61027.216317], format="mjd", scale="utc"))
    assert (exposure.timespan, exposure.target_name, exposure.exposure_time) == (expected, "SPS_87514", 113.5826)
    (record,) = butler.query_dimension_records("exposure_detector_region", data_id=FIRST)
    assert record.region.contains(UnitVector3d(LonLat.fromDegrees(10.086254818464036, 40.900227543559353)))
    assert not record.region.contains(UnitVector3d(LonLat.fromDegrees(15.0, 40.9)))
    assert len(butler.query_datasets("level2", where="exposure_detector_region.region OVERLAPS POINT(10.08, 40.9)")) > 1


def test_nothing_is_asked_of_anybody(butler, monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **_: asked.append(where))
    monkeypatch.setattr(socket.socket, "connect", lambda _, where: asked.append(where))
    reports = [ingest_archive_table(butler, path, access=access) for path in (M31, IRIS) for access in ("irsa", "aws")]
    assert [len(report.ingested) for report in reports] == [6, 0, 2, 0]
    assert asked == []


def test_images_are_read_by_byte_range_later(butler, tmp_path):
    path = write_level2(tmp_path / Path(FIRST_KEY).parent, detector=3, size=1024)
    with serve(tmp_path) as served:
        report = ingest_archive_table(butler, sia_table()[:1], access=served.url)
        assert served.requests == []
        (ref,) = report.ingested
        cutout = butler.get(ref, parameters={"bbox": (600, 616, 700, 716), "planes": ["FLAGS"]})
        assert served.bytes_sent < 0.05 * path.stat().st_size
        assert all(method == "GET" and wanted for method, _, wanted, _ in served.requests)
    assert cutout.data.shape == (16, 16)
    whole = SpectralImage.read(path)  # whose array begins at pixel 508 of the full frame
    assert (cutout.data == whole.data[192:208, 92:108]).all()


def test_a_rerun_skips_what_is_there(butler):
    first = ingest_archive_table(butler, M31)
    again = ingest_archive_table(butler, M31, access="aws")
    assert (len(again.ingested), again.skipped) == (0, list(first.ingested))
    assert str(butler.getURI(again.skipped[0])) == ROOT + FIRST_KEY
    (warning,) = again.warnings
    assert warning.startswith("6 images are there already, but elsewhere, such as ")
    assert ingest_archive_table(butler, M31).warnings == []


def test_an_image_that_is_here_as_a_file_stays_here(butler, tmp_path):
    (ref,) = ingest_files(butler, write_level2(tmp_path, detector=3, size=48)).ingested
    before = butler.getURI(ref)
    report = ingest_archive_table(butler, M31)
    assert (len(report.ingested), list(report.skipped)) == (5, [ref])
    assert butler.getURI(ref) == before


def test_two_addresses_of_one_image_are_reported(butler):
    table = sia_table()[:2]
    table.add_row(table[0])
    assert ingest_archive_table(butler, table).failed == []
    table["access_url"][2] = table["access_url"][2].replace("irsa.ipac.caltech.edu", "irsa.example.org")
    report = ingest_archive_table(butler, table, allow_hosts=["irsa.example.org"])
    assert (len(report.skipped), len(report.failed)) == (2, 1)
    assert "is the same image of the same run" in report.failed[0].reason


@pytest.mark.parametrize("processes", [1, 2])
def test_row_with_the_address_of_a_strange_host_keeps_no_other_out(butler, processes):
    table = sia_table()[:3]
    table["access_url"][1] = table["access_url"][1].replace("irsa.ipac.caltech.edu", "169.254.169.254")
    report = ingest_archive_table(butler, table, processes=processes)
    assert (len(report.ingested), len(report.failed)) == (2, 1)
    assert "is on the host '169.254.169.254', which is not the archive's" in report.failed[0].reason
    report = ingest_archive_table(butler, table, allow_hosts=["169.254.169.254"], processes=processes)
    assert (len(report.ingested), len(report.skipped)) == (1, 2)


def test_a_row_that_the_registry_refuses_keeps_no_other_out(butler):
    butler.collections.register(RUN)
    ingest_archive_table(butler, sia_table()[1:2])  # its dimension records are not those of the next
    ingest_archive_table(butler, sia_table()[:1])
    (ref,) = butler.query_datasets("level2", collections=RUN, data_id=FIRST)
    butler.pruneDatasets([ref], purge=True, unstore=True, disassociate=True)
    other = DatasetRef(ref.datasetType, ref.dataId, ref.run)
    butler._registry._importDatasets([other], expand=False)
    report = ingest_archive_table(butler, M31)
    assert (len(report.ingested), len(report.skipped), len(report.failed)) == (4, 1, 1)
    assert report.failed[0].uri == ROOT + FIRST_KEY
    assert "ConflictingDefinitionError" in report.failed[0].reason


@pytest.mark.parametrize("processes", [1, 2])
def test_corners_that_make_no_region_keep_no_other_image_out(butler, processes):
    table = sia_table()
    table["s_region"][2] = "POLYGON ICRS 10 0 11 0 12 0 13 0 10 0"  # all on one line
    report = ingest_archive_table(butler, table, processes=processes)
    assert (len(report.ingested), len(report.failed)) == (5, 1)
    assert report.failed[0].uri == table["access_url"][2]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("blank", [0, 1])
def test_the_first_of_two_processings_has_the_region(butler, tmp_path, processes, blank):
    table = sia_table()[:2]
    table[1] = table[0]
    table["access_url"][1] = table["access_url"][0].replace("l2b-v21-2025-354", "l2b-v22-2026-006")
    table["s_region"][blank] = ""
    report = ingest_archive_table(butler, csv_of(table, tmp_path / "two.csv"), processes=processes)
    assert (len(report.ingested), report.failed) == (2, [])
    (record,) = butler.query_dimension_records("exposure_detector_region")
    assert (record.region is None) == (blank == 0)
    assert (rows_of(butler, "exposure_detector_region_skypix_overlap") == []) == (blank == 0)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_registry_holds_what_plain_calls_would_put_there(half_week, processes, monkeypatch):
    monkeypatch.setattr(HttpResourcePath, "exists", lambda _: True)  # which plain calls ask
    rows = pq.read_table(half_week).slice(0, 300).to_pylist()
    with new_repo() as ours, new_repo() as plain:
        ingest_archive_table(ours, half_week, processes=processes)
        plain_ingest(plain, rows)
        for table in ("exposure_detector_region", "exposure_detector_region_skypix_overlap", "exposure"):
            found, expected = rows_of(ours, table), rows_of(plain, table)
            assert set(expected) <= set(found)
            assert len(expected) >= 50
        assert rows_of(ours, "exposure_detector_region_skypix_overlap_summary") == rows_of(
            plain, "exposure_detector_region_skypix_overlap_summary"
        )
        found = {row[:-1] for row in rows_of(ours, "file_datastore_records")}
        assert {row[:-1] for row in rows_of(plain, "file_datastore_records")} <= found


def plain_ingest(butler: Butler, rows: list[dict[str, object]]) -> None:
    """Do it by daf_butler's own public calls, with the same dataset ids."""
    (batch,) = read_archive_table(Table(rows=rows))
    level2 = butler.get_dataset_type("level2")
    insert_exposures(butler, [file.description for file in batch.planned])
    datasets = []
    for file in batch.planned:
        run = ensure_run(butler, file.name, file.release)
        ref = image_ref(level2, run, file.data_id["exposure"], file.data_id["detector"])
        datasets.append(FileDataset(file.uri, [ref]))
    butler.ingest(*datasets, transfer="direct", record_validation_info=False)


def test_the_database_is_left_as_it_was(butler):
    def pragma(name: str) -> object:
        with butler._registry._db._engine.connect() as connection:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    before = pragma("cache_size"), pragma("journal_mode")
    ingest_archive_table(butler, M31)
    assert (pragma("cache_size"), pragma("journal_mode")) == before


def test_chains_find_the_latest_processing(butler):
    table = sia_table()[:1]
    later = table.copy()
    later["access_url"] = table["access_url"][0].replace("l2b-v21-2025-354", "l2b-v22-2026-006")
    ingest_archive_table(butler, [table, later])
    assert butler.find_dataset("level2", FIRST).run == "spx/l2b-v22-2026-006"


def test_more_processes_than_are_of_use_are_refused(butler):
    with pytest.raises(ParameterError, match="processes=3 is not possible; expected a whole number from 1 to 2"):
        ingest_archive_table(butler, M31, processes=3)


INGEST = """
import sys, time
from pathlib import Path
from lsst.daf.butler import Butler
from spherex_butler.archive import ingest_archive_table
with Butler.from_config(sys.argv[1], writeable=True) as butler:
    print("ready", flush=True)
    while not Path(sys.argv[3]).exists():
        time.sleep(0.001)
    report = ingest_archive_table(butler, sys.argv[2])
    print(len(report.ingested), len(report.skipped), report.failed)
"""


def start_ready(root: Path, table: Path, signal_file: Path) -> Script:
    """Return a process that has opened the repository, and ingests as soon as a file is there."""
    script = start_script(INGEST, root, table, signal_file, folder=root.parent / "elsewhere")
    while script.runs and not script.output:
        time.sleep(0.001)
    return script


def test_a_killed_ingest_is_finished_by_the_same_call(tmp_path, half_week):
    root = copy_repo(tmp_path / "repo")
    table = csv_of(Table(pq.read_table(half_week).to_pydict()), tmp_path / "images.csv")
    killed = 0
    for number, delay in enumerate((0.05, 0.2, 0.4, 0.6)):
        script = start_ready(root, table, tmp_path / f"go{number}")
        (tmp_path / f"go{number}").touch()
        time.sleep(delay)
        killed += script.kill() == -signal.SIGKILL
        # For writing, as SQLite may first have to undo what the process had begun.
        with Butler.from_config(root, collections="SPHEREx/defaults", writeable=True) as butler:
            known = butler.query_datasets("level2", collections="spx/*", explain=False, limit=None, find_first=False)
            assert {str(butler.getURI(ref)).startswith(ROOT) for ref in known} <= {True}
            assert len(rows_of(butler, "file_datastore_records")) == len(known)
    assert killed > 0
    with Butler.from_config(root, writeable=True) as butler:
        report = ingest_archive_table(butler, table)
        assert (len(report.ingested) + len(report.skipped), report.failed) == (IMAGES, [])


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_two_ingests_of_one_table_at_once_share_the_work(tmp_path, half_week, database, request):
    root = tmp_path / "repo"
    if database == "postgres":
        make_repo(root, database=request.getfixturevalue("postgres_database")).close()
    else:
        copy_repo(root)
    scripts = [start_ready(root, half_week, tmp_path / "go") for _ in range(2)]
    (tmp_path / "go").touch()
    assert [script.wait() for script in scripts] == [0, 0], [script.said for script in scripts]
    answers = [script.output.removeprefix("ready\n").split(maxsplit=2) for script in scripts]
    assert [failed for *_, failed in answers] == ["[]\n", "[]\n"]
    assert sum(int(ingested) for ingested, *_ in answers) == IMAGES
    with Butler.from_config(root, collections="SPHEREx/defaults") as butler:
        assert len(butler.query_datasets("level2", limit=None)) == IMAGES
        assert len(rows_of(butler, "exposure_detector_region")) == IMAGES


def test_postgresql_takes_a_table(postgres_database, tmp_path, half_week):
    make_repo(tmp_path / "repo", database=postgres_database).close()
    with Butler.from_config(tmp_path / "repo", writeable=True, collections="SPHEREx/defaults") as butler:
        report = ingest_archive_table(butler, half_week, processes=2)
        assert (len(report.ingested), report.failed) == (IMAGES, [])
        ref = report.ingested[1234]
        assert butler.find_dataset("level2", ref.dataId) == ref

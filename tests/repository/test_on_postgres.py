"""A repository whose registry is in PostgreSQL: made, written to, ingested into and searched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from damage import put_dark
from lsst.daf.butler import Butler, DatasetType, Timespan
from lsst.daf.butler._registry_shim import RegistryShim
from made_once import copy_configuration
from postgres import execute, reader_of

from spherex_butler import make_repo
from spherex_butler.errors import ConfigurationError
from spherex_butler.ingest import ingest_files
from spherex_butler.repository.butler_internals import lacks_statistics
from spherex_butler.testing import write_exposures, write_level2
from spherex_butler.verify import check_repository


@pytest.fixture
def butler(postgres_database, tmp_path) -> Iterator[Butler]:
    with make_repo(tmp_path / "repo", database=postgres_database) as butler:
        yield butler


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_exposures(tmp_path_factory.mktemp("archive"), exposures=2, size=32)


def level2(butler: Butler, **options: object):
    return butler.query_datasets("level2", collections="SPHEREx/defaults", explain=False, **options)


def test_dataset_is_put_and_got(butler, tmp_path):
    dark = np.arange(12.0).reshape(3, 4)
    butler.registry.registerDatasetType(DatasetType("darkness", ["detector"], "NumpyArray", universe=butler.dimensions))
    butler.collections.register("u/test")
    butler.put(dark, "darkness", instrument="SPHEREx", detector=1, run="u/test")
    with Butler.from_config(tmp_path / "repo", collections="u/test") as reader:
        assert np.array_equal(reader.get("darkness", instrument="SPHEREx", detector=1), dark)


@pytest.mark.parametrize("transfer", ["copy", "direct"])
def test_files_are_ingested_and_read_and_skipped_the_second_time(butler, archive, transfer):
    assert len(ingest_files(butler, archive, transfer=transfer).ingested) == 12
    assert [butler.get(ref).shape for ref in level2(butler)] == [(32, 32)] * 12
    report = ingest_files(butler, archive, transfer=transfer, update_records=True)
    assert (len(report.skipped), report.failed, report.updated) == (12, [], [])


def test_images_are_found_by_position_time_and_pixel(butler, archive):
    ingest_files(butler, archive, transfer="direct")
    first = level2(butler, where="detector = 3 AND exposure.small_slew = 2")[0]
    center = SkyCoord(butler.get(first).footprint.cartesian.mean(), frame="icrs").spherical
    position = f"exposure_detector_region.region OVERLAPS POINT({center.lon.deg}, {center.lat.deg})"
    assert first in level2(butler, where=position)
    (record,) = butler.query_dimension_records("exposure", exposure=first.dataId["exposure"])
    span = Timespan(record.timespan.begin, record.timespan.end)
    found = level2(butler, where="exposure.timespan OVERLAPS :span", bind={"span": span})
    assert {ref.dataId["exposure"] for ref in found} == {first.dataId["exposure"]}
    (pixel,) = {
        data_id["healpix4"]
        for data_id in butler.query_data_ids(
            "healpix4", where=position, instrument="SPHEREx", exposure=record.id, detector=3
        )
    }
    assert first in level2(butler, where=f"healpix4 = {pixel}")


def test_records_are_updated(butler, tmp_path):
    path = write_level2(tmp_path, detector=3, size=32)
    ingest_files(butler, path, transfer="direct")
    moved = write_level2(tmp_path, detector=3, size=32, center=SkyCoord(10.0, 60.0, unit="deg"), overwrite=True)
    report = ingest_files(butler, moved, transfer="direct", update_records=True)
    assert {change.field for change in report.updated} >= {"region"}
    assert len(level2(butler, where="exposure_detector_region.region OVERLAPS POINT(10.088, 40.899)")) == 0


def test_database_with_tables_is_refused(butler, postgres_database, tmp_path):
    with pytest.raises(ConfigurationError, match=r"/other/' holds tables already: .*It was left as it is; give an"):
        make_repo(tmp_path / "other", database=postgres_database)
    assert not (tmp_path / "other").exists()
    counts = [len(butler.query_dimension_records(name)) for name in ("instrument", "detector", "channel")]
    assert counts == [1, 6, 102]


def test_tables_of_a_failed_repository_are_dropped(postgres_database, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(RegistryShim, "registerDatasetType", fail)
        with pytest.raises(RuntimeError, match="interrupted"):
            make_repo(tmp_path / "repo", database=postgres_database)
    make_repo(tmp_path / "repo", database=postgres_database).close()


@pytest.fixture
def readers_repo(butler, archive, postgres_database, tmp_path):
    """Return the repository as a user has it who may only read its tables."""
    ingest_files(butler, archive[:2], transfer="direct")
    put_dark(butler, 1)
    with reader_of(postgres_database) as url:
        changes = {"registry": {"db": url}, "datastore": {"root": str(tmp_path / "repo")}}
        yield copy_configuration(tmp_path / "repo", tmp_path / "reader", changes)


def test_user_without_rights_reads_and_is_told_which_are_missing(readers_repo, archive, run_clean):
    def run(*line):
        return run_clean(sys.executable, "-m", "spherex_butler", *map(str, line), code=1)

    assert "2 images" in run("verify", readers_repo)
    for line in (("ingest", readers_repo, *archive), ("certify", readers_repo, "dark"), ("register", readers_repo)):
        said = run(*line)
        assert "This user may not do that in the database. Ask its owner for the rights" in said, (line, said)
        assert "insert, update and delete rows" in said
        assert "Traceback" not in said
        assert len(said.splitlines()) < 4


@pytest.mark.usefixtures("butler")
def test_rows_that_the_database_refuses_are_told_once(archive, postgres_database, run_clean, tmp_path):
    execute(postgres_database, "ALTER TABLE exposure ADD CONSTRAINT nothing_new CHECK (false)")
    command = [sys.executable, "-m", "spherex_butler", "ingest", str(tmp_path / "repo"), *map(str, archive)]
    said = run_clean(*command, code=1)
    assert "nothing_new" in said
    assert "Pipeline" not in said  # what psycopg logs of the same error


@pytest.fixture
def uncounted(butler, postgres_database):
    """A table of the repository's schema at which PostgreSQL never looked: its own counts are lost in a crash."""
    execute(
        postgres_database, "CREATE TABLE uncounted WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 9999)"
    )
    assert lacks_statistics(butler)
    return butler


def test_check_has_the_database_count_what_it_never_counted(uncounted, caplog):
    check_repository(uncounted)
    assert not lacks_statistics(uncounted)
    assert "ANALYZE" not in caplog.text


def test_ingest_has_it_counted(uncounted, archive):
    ingest_files(uncounted, archive[:1], transfer="direct")
    assert not lacks_statistics(uncounted)


def test_reader_is_told_who_can_have_it_counted(readers_repo, uncounted, caplog):
    with Butler.from_config(readers_repo) as reader:
        check_repository(reader)
    assert "let the owner of the tables run 'ANALYZE' in this database" in caplog.text
    assert lacks_statistics(uncounted)

"""The live ObsCore table has a row for each image at any time, whichever way images come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from archive_samples import M31
from astropy.coordinates import SkyCoord
from damage import lose_regions
from lsst.daf.butler import Butler
from made_once import copy_exposures
from obscore_samples import archive_repo, archive_rows

from spherex_butler import extend_universe, make_repo, open_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.errors import ConfigurationError
from spherex_butler.export.images import export_images
from spherex_butler.ingest import ingest_files
from spherex_butler.obscore.selection import ImageRows
from spherex_butler.repository import registration
from spherex_butler.testing import write_level2
from spherex_butler.verify import check_repository, repair


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request) -> str | None:
    return None if request.param == "sqlite" else request.getfixturevalue("postgres_database")


@pytest.fixture
def butler(database, tmp_path) -> Iterator[Butler]:
    with make_repo(tmp_path / "repo", database=database, obscore=True) as butler:
        yield butler


def live_rows(butler: Butler) -> list[dict]:
    with butler._registry.obsCoreTableManager.query() as rows:
        return [dict(row._mapping) for row in rows]


def ids(butler: Butler) -> set:
    return {ref.id for ref in butler.query_datasets("level2", "*", find_first=False, explain=False)}


def assert_same(butler: Butler) -> None:
    """Check that the live table says what is made on demand, without what only it knows."""
    rows = {str(row["registry_dataset_id"]): row for row in live_rows(butler)}
    made = {row["dataset_id"]: row for batch in ImageRows(butler, latest=False).batches() for row in batch}
    assert rows.keys() == made.keys() == {str(one) for one in ids(butler)}
    for key, row in made.items():
        known = {name: value for name, value in row.items() if name in rows[key] and name != "access_url"}
        assert {name: rows[key][name] for name in known} == known


def test_rows_of_the_archives_table_are_the_archives(database, tmp_path):
    with archive_repo(tmp_path / "repo", obscore=True, database=database) as butler:
        rows = {row["access_url"].rpartition("/")[2]: row for row in live_rows(butler)}
        assert_same(butler)
    for name, theirs in archive_rows().items():
        for column in (
            "s_ra",
            "s_dec",
            "t_min",
            "t_max",
            "em_min",
            "em_res_power",
            "access_estsize",
            "obs_release_date",
        ):
            assert str(rows[name][column]) == str(theirs[column]) or rows[name][column] == float(theirs[column])


@pytest.mark.parametrize("transfer", ["copy", "direct"])
def test_ingested_files_are_in_the_table(butler, tmp_path, transfer):
    paths = copy_exposures(tmp_path / "files", exposures=2)
    assert len(ingest_files(butler, paths, transfer=transfer).ingested) == len(live_rows(butler)) == 12
    assert_same(butler)
    ingest_files(butler, paths, transfer=transfer)
    assert len(live_rows(butler)) == 12


def test_middle_is_that_of_the_header(butler, tmp_path):
    path = write_level2(tmp_path, detector=3, size=48)
    ingest_files(butler, path, transfer="copy")
    (row,), (ref,) = live_rows(butler), butler.query_datasets("level2", "SPHEREx/defaults")
    middle = butler.get(ref).wcs.pixel_to_world(23.5, 23.5)
    assert middle.separation(SkyCoord(row["s_ra"], row["s_dec"], unit="deg")).arcsec < 1e-6


def test_failed_registration_leaves_no_row(butler, monkeypatch):
    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(registration, "complete_rows", fail)
    assert len(ingest_archive_table(butler, M31).failed) == 6
    assert live_rows(butler) == []
    monkeypatch.undo()
    assert len(ingest_archive_table(butler, M31).ingested) == len(live_rows(butler)) == 6


def test_image_that_is_put_and_removed_comes_and_goes(butler, tmp_path):
    ingest_files(butler, copy_exposures(tmp_path / "files")[:1], transfer="copy")
    (ref,) = butler.query_datasets("level2", "SPHEREx/defaults")
    butler.collections.register("u/me")
    mine = butler.put(butler.get(ref), "level2", ref.dataId, run="u/me")
    assert {row["registry_dataset_id"] for row in live_rows(butler)} == {ref.id, mine.id}
    butler.pruneDatasets([mine], purge=True, unstore=True, disassociate=True)
    assert {row["registry_dataset_id"] for row in live_rows(butler)} == {ref.id}


def test_updated_records_are_in_the_table(butler, tmp_path):
    path = write_level2(tmp_path, detector=3, size=48)
    ingest_files(butler, path, transfer="direct")
    (before,) = live_rows(butler)
    moved = write_level2(tmp_path, detector=3, size=48, center=SkyCoord(10.0, 60.0, unit="deg"), overwrite=True)
    assert ingest_files(butler, moved, transfer="direct", update_records=True).updated
    (after,) = live_rows(butler)
    assert after["s_dec"] - before["s_dec"] > 10
    assert after["s_region"] != before["s_region"]
    assert_same(butler)


def test_repaired_region_is_in_the_table(tmp_path):
    with make_repo(tmp_path / "repo", obscore=True) as butler:
        ingest_files(butler, copy_exposures(tmp_path / "files")[:1], transfer="copy")
        (before,) = live_rows(butler)
        lose_regions(butler)
        butler._registry._db.update(
            butler._registry.obsCoreTableManager.table, {"obs_id": "of"}, {"of": before["obs_id"], "s_region": None}
        )
        assert [one.done for one in repair(butler, check_repository(butler).findings)] == [True]
        assert live_rows(butler) == [before]


def test_exported_images_are_in_the_targets_table(butler, tmp_path):
    with make_repo(tmp_path / "source") as source:
        ingest_files(source, copy_exposures(tmp_path / "files"), transfer="copy")
        export_images(source, butler, transfer="copy")
    assert len(live_rows(butler)) == 6
    assert_same(butler)


def test_repository_is_opened_again_with_its_table(butler, tmp_path):
    ingest_archive_table(butler, M31)
    with open_repo(tmp_path / "repo") as again:
        assert len(live_rows(again)) == 6
    assert "obscore" in (tmp_path / "repo" / "butler.yaml").read_text()


def test_extended_universe_needs_an_entry_point_of_its_own(tmp_path):
    tile = {"tile": {"doc": "A tile.", "requires": ["instrument"], "keys": [{"name": "id", "type": "int"}]}}
    universe = extend_universe(tile, namespace="tiles_of_obscore", version=1)
    message = r"none for the universe 'tiles_of_obscore', only for .*'spherex'.*'tiles_of_obscore = .*record_factory"
    with pytest.raises(ConfigurationError, match=message):
        make_repo(tmp_path / "tiles", dimensions=universe, obscore=True)
    assert not (tmp_path / "tiles").exists()

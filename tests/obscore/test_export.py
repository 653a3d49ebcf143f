"""Tables of images: their values are the archive's, and files are whole or not there."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from archive_samples import changed, sia_table
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse_single_table, validate
from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType
from made_once import copy_exposures
from obscore_samples import archive_repo, archive_rows

import spherex_butler.obscore.export as export_module
from spherex_butler.archive import ingest_archive_table
from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.obscore import export_obscore
from spherex_butler.obscore.columns import obscore_columns
from spherex_butler.obscore.selection import ImageRows
from spherex_butler.obscore.writing import VOTableRows

SAME = [
    *("dataproduct_type", "dataproduct_subtype", "calib_level", "obs_collection", "obs_id", "obs_publisher_did"),
    *("obs_intent", "algorithm_name", "proposal_title", "access_url", "access_format", "target_name", "target_type"),
    *("target_standard", "target_moving", "s_fov", "s_resolution", "s_pixel_scale", "s_xel1", "s_xel2"),
    *("position_timedependent", "t_min", "t_max", "t_exptime", "t_resolution", "t_xel", "em_min", "em_max"),
    *("em_res_power", "em_xel", "energy_bandpassname", "energy_emband", "pol_states", "pol_xel"),
    *("facility_name", "instrument_name"),
]
"""Columns whose values are the archive's to the last digit."""

KNOWN_TO_LIVE_TABLES = ["s_ra", "s_dec", "access_estsize", "obs_release_date"]


@pytest.fixture(scope="module", params=[False, True], ids=["on demand", "live"])
def repo(request, tmp_path_factory):
    with archive_repo(tmp_path_factory.mktemp("obscore") / "repo", obscore=request.param) as butler:
        butler.live = request.param
        yield butler


def rows_of(butler: Butler, **options: object) -> dict[str, dict]:
    rows = [row for batch in ImageRows(butler, **options).batches() for row in batch]
    return {row["access_url"].rpartition("/")[2]: row for row in rows}


def test_what_xml_cannot_hold_is_replaced_in_votables():
    stream = io.BytesIO()
    writer = VOTableRows(stream, [("note", "", "a\x00b")])
    writer.write([{"target_name": "x\x1fy\x08<z>", "obs_id": "first"}, {"target_name": "plain", "obs_id": "second"}])
    writer.end()
    stream.seek(0)
    table = parse_single_table(stream).to_table()
    assert table["target_name"].tolist() == ["x\ufffdy\ufffd<z>", "plain"]
    assert table["obs_id"].tolist() == ["first", "second"]
    assert "a\ufffdb" in stream.getvalue().decode()


def test_values_are_the_archives(repo):
    ours, theirs = rows_of(repo), archive_rows()
    assert ours.keys() == theirs.keys()
    columns = SAME + KNOWN_TO_LIVE_TABLES * repo.live
    for name, row in theirs.items():
        expected = {column: None if row[column] == "" else str(row[column]) for column in columns}
        found = {column: ours[name].get(column) for column in columns}
        assert {column: _like(value, expected[column]) for column, value in found.items()} == expected


def _like(value, expected):
    """Return a value as the text of an equal one, so that 3.485 and 3.4849999999999999 are the same."""
    return expected if isinstance(value, int | float) and value == float(expected) else value


def test_corners_are_the_archives_in_their_order(repo):
    ours = rows_of(repo)
    for name, row in archive_rows().items():
        words, expected = ours[name]["s_region"].split(), row["s_region"].split()
        assert words[:2] == expected[:2] == ["POLYGON", "ICRS"]
        assert list(map(float, words[2:])) == pytest.approx(list(map(float, expected[2:])), rel=0, abs=1e-13)


def test_middle_of_an_image_follows_from_its_corners_to_half_an_arcsecond(tmp_path):
    with archive_repo(tmp_path / "repo", obscore=False) as butler:
        ours = rows_of(butler)
    for name, row in archive_rows().items():
        found, expected = (SkyCoord(one["s_ra"], one["s_dec"], unit="deg") for one in (ours[name], row))
        assert found.separation(expected).arcsec < 0.5


def test_columns_are_in_one_order_in_all_formats(repo, tmp_path):
    names = list(obscore_columns())
    tables = {}
    for suffix in (".vot", ".parquet", ".csv"):
        path = tmp_path / f"images{suffix}"
        assert export_obscore(repo, path) == 8
        tables[suffix] = pq.read_table(path).to_pylist() if suffix == ".parquet" else Table.read(path)
    assert list(tables[".parquet"][0]) == tables[".vot"].colnames == tables[".csv"].colnames == names
    for name in ("s_ra", "t_min", "em_max", "obs_id", "s_region", "exposure", "dataset_id"):
        values = [row[name] for row in tables[".parquet"]]
        assert values == tables[".vot"][name].tolist() == tables[".csv"][name].tolist()


def test_votable_is_valid_and_says_what_columns_mean(repo, tmp_path):
    export_obscore(repo, path := tmp_path / "images.vot")
    table = parse_single_table(path, verify="exception")  # strict: a warning is an error
    fields = {field.name: field for field in table.fields}
    assert (fields["s_ra"].ucd, str(fields["s_ra"].unit), fields["s_ra"].ref) == ("pos.eq.ra", "deg", "sky")
    assert fields["em_min"].utype == "obscore:Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit"
    assert validate(str(path), output=io.StringIO())


def test_parquet_has_units(repo, tmp_path):
    export_obscore(repo, path := tmp_path / "images.parquet")
    metadata = pq.read_schema(path).field("em_min").metadata
    assert (metadata[b"unit"], metadata[b"ucd"]) == (b"m", b"em.wl;stat.min")


def test_format_is_said_or_follows_from_the_name(repo, tmp_path):
    export_obscore(repo, tmp_path / "images", format="csv")
    assert (tmp_path / "images").read_text().startswith("dataproduct_type,")
    with pytest.raises(ParameterError, match=r"'.*images.txt' names no known format; expected .vot, .*csv at its end"):
        export_obscore(repo, tmp_path / "images.txt")
    with pytest.raises(ParameterError, match=r"format='fits' is not known; expected one of votable, parquet, csv"):
        export_obscore(repo, tmp_path / "images.fits", format="fits")


def test_file_is_replaced_only_if_asked_for(repo, tmp_path):
    path = tmp_path / "images.csv"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"images.csv' exists; pass overwrite=True"):
        export_obscore(repo, path)
    assert path.read_text() == "mine"
    assert export_obscore(repo, path, overwrite=True) == 8
    assert len(path.read_text().splitlines()) == 9


def test_failed_export_leaves_nothing(repo, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "publish", fail)
    with pytest.raises(OSError, match="No space left"):
        export_obscore(repo, tmp_path / "images.csv")
    assert list(tmp_path.iterdir()) == []


def test_file_that_came_meanwhile_is_kept(repo, tmp_path, monkeypatch):
    class Late(ImageRows):
        def count(self):
            (tmp_path / "images.csv").write_text("theirs")
            return super().count()

    monkeypatch.setattr(export_module, "ImageRows", Late)
    with pytest.raises(FileExistsError, match="exists; pass overwrite=True"):
        export_obscore(repo, tmp_path / "images.csv")
    assert (tmp_path / "images.csv").read_text() == "theirs"


def test_empty_repository_gives_an_empty_table(butler, tmp_path):
    for suffix in (".vot", ".parquet", ".csv"):
        assert export_obscore(butler, tmp_path / f"images{suffix}") == 0
    assert len(Table.read(tmp_path / "images.vot")) == 0
    assert pq.read_table(tmp_path / "images.parquet").num_rows == 0


def test_latest_processing_counts_unless_all_are_wanted(butler, tmp_path):
    first = sia_table()[:1]
    newer = first["access_url"][0].replace("l2b-v21-2025-354", "l2b-v22-2026-006")
    for table in (first, changed(access_url=newer)):
        assert ingest_archive_table(butler, table).failed == []
    runs = [row["run"] for batch in ImageRows(butler).batches() for row in batch]
    assert runs == ["spx/l2b-v22-2026-006"]
    assert export_obscore(butler, tmp_path / "all.csv", latest=False) == 2
    every = Table.read(tmp_path / "all.csv")
    assert every["run"].tolist() == ["spx/l2b-v22-2026-006", "spx/l2b-v21-2025-354"]
    assert export_obscore(butler, tmp_path / "one.csv", collections="spx/l2b-v21-2025-354") == 1
    butler.collections.register("u/mine", CollectionType.TAGGED)
    butler.registry.associate("u/mine", butler.query_datasets("level2", "spx/l2b-v21-2025-354"))
    assert export_obscore(butler, tmp_path / "tagged.csv", collections="u/mine") == 1


def test_local_files_have_their_address_and_size(butler, tmp_path):
    ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="copy")
    rows = [row for batch in ImageRows(butler).batches() for row in batch]
    paths = [Path(row["access_url"].removeprefix("file://")) for row in rows]
    assert len(paths) == 6
    assert [row["access_estsize"] for row in rows] == [-(-path.stat().st_size // 1000) for path in paths]


def test_image_of_another_run_is_none_of_the_archives(butler, tmp_path):
    ingest_files(butler, copy_exposures(tmp_path / "files")[:1], transfer="copy")
    (ref,) = butler.query_datasets("level2", collections="SPHEREx/defaults")
    butler.collections.register("u/me")
    mine = butler.put(butler.get(ref), "level2", ref.dataId, run="u/me")
    (row,) = rows_of(butler, collections="u/me").values()
    assert (row["obs_collection"], row["obs_publisher_did"]) == ("u/me", f"butler://spherex/{mine.id}")


def test_memory_does_not_grow_with_the_repository(tmp_path):
    with archive_repo(tmp_path / "repo", obscore=False) as butler:
        images = ImageRows(butler)
        assert [len(batch) for batch in images.batches()] == [2, 1, 1, 3, 1]  # a planning period at a time
        tracemalloc.start()
        export_obscore(butler, tmp_path / "images.vot")
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.stop()

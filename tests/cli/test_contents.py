"""``butler spherex list`` and ``summary``."""

from __future__ import annotations

import json

import pytest
from command_line import invoke, run
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler.ingest import ingest_files
from spherex_butler.search.reading import read_table


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contents")
    with open_repo(copy_repo(folder / "repo")) as butler:
        ingest_files(butler, copy_exposures(folder / "files", exposures=2), transfer="copy")
    return folder / "repo"


def test_list_prints_a_row_for_each_exposure(repo):
    lines = run("list", repo).splitlines()
    assert lines[0].split()[:3] == ["obs_id", "exposure", "time"]
    assert [line.split()[0] for line in lines[3:]] == ["2025W51_1A_0684_2", "2025W51_1A_0684_3"]
    assert "1,2,3,4,5,6" in lines[3]
    assert run("list", repo, "--detector", 2, "--limit", 1).splitlines()[-1].split()[7:9] == ["2", "qr2"]


def test_list_says_that_there_is_more(repo):
    assert "… and more; --limit 0 lists all." in run("list", repo, "--limit", 1)
    assert "more" not in run("list", repo, "--limit", 2)


def test_list_finds_nothing(repo):
    assert run("list", repo, "--end", "2025-01-01") == "Nothing was found.\n"


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits", ".vot", ".parquet"])
def test_list_writes_all_rows_and_replaces_nothing(repo, tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    assert run("list", repo, "-o", path) == f"Wrote 2 rows to {path}.\n"
    assert read_table(path)["exposure"].tolist() == [20255110106842, 20255110106843]
    assert "exists; give --overwrite to replace it" in run("list", repo, "-o", path, code=2)
    run("list", repo, "-o", path, "--overwrite", "--detector", 1)
    assert set(read_table(path)["detectors"]) in ({"1"}, {1})
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_list_writes_no_more_rows_than_the_limit(repo, tmp_path):
    path = tmp_path / "table.csv"
    result = invoke("list", repo, "-o", path, "--limit", 1)
    assert (result.stdout, result.stderr) == (f"Wrote 1 row to {path}.\n", "… and more; --limit 0 writes all.\n")
    assert len(read_table(path)) == 1


def test_list_as_json_writes_no_table(repo, tmp_path):
    said = run("list", repo, "--json", "-o", tmp_path / "rows.csv", code=2)
    assert "--json prints JSON, and --output writes a file instead; give one of them." in said
    assert not (tmp_path / "rows.csv").exists()


def test_list_as_json(repo):
    found = json.loads(run("list", repo, "--limit", 1, "--json").replace("… and more; --limit 0 lists all.\n", ""))
    (row,) = found["observations"]
    assert found["more"]
    assert row["exposure"] == 20255110106842
    assert row["time"]["scale"] == "utc"
    assert row["time"]["value"].startswith("2025-12-18T05:1")


def test_list_as_json_is_the_same_printed_and_written(repo, tmp_path):
    run("list", repo, "-o", tmp_path / "rows.json")
    assert run("list", repo, "--json") == (tmp_path / "rows.json").read_text()


def test_summary_prints_ten_lines(repo):
    lines = run("summary", repo).splitlines()
    assert len(lines) == 10
    assert lines[1] == "exposures     2 in 1 planning period"
    assert json.loads(run("summary", repo, "--json"))["images"] == {"spx/l2b-v21-2025-354": 12}

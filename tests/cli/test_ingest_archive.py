"""``butler spherex ingest-archive``: from the real rows, as files and from services, to datasets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from archive_samples import BUCKET, FIRST_KEY, IRIS, M31, ROOT, sia_table
from astropy.time import Time
from click.testing import CliRunner
from lsst.daf.butler import Butler
from made_once import copy_repo
from vo_server import serve_archive

from spherex_butler.cli import main

FIRST = "instrument = 'SPHEREx' AND exposure.obs_id = '2025W51_1A_0684_2'"


@pytest.fixture
def repo(tmp_path):
    return copy_repo(tmp_path / "repo")


@pytest.fixture
def archive():
    with serve_archive() as services:
        yield services


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["ingest-archive", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def uris(repo):
    with Butler.from_config(repo) as butler:
        refs = butler.query_datasets("level2", collections="SPHEREx/qr2", find_first=True, explain=False)
        return sorted(str(butler.getURI(ref)) for ref in refs)


def test_help_teaches():
    text = run("--help").output
    assert "butler spherex ingest-archive repo --query sia --pos 10.68 41.27 0.5" in text
    assert "Nothing is downloaded" in text


def test_real_rows_become_exposures_with_their_times_and_regions(repo):
    assert run(repo, M31).output.strip() == "6 ingested, 0 already there, 0 failed"
    with Butler.from_config(repo) as butler:
        (exposure,) = butler.query_dimension_records("exposure", where=FIRST)
        assert (exposure.id, exposure.target_name, exposure.exposure_time) == (20255110106842, "SPS_87514", 113.5826)
        begin = Time(61027.214984, format="mjd", scale="utc").tai
        assert abs((exposure.timespan.begin - begin).sec) < 1e-6
        (region,) = butler.query_dimension_records(
            "exposure_detector_region", exposure=exposure.id, instrument="SPHEREx"
        )
        assert region.detector == 3
        (ref,) = butler.query_datasets(
            "level2",
            collections="SPHEREx/qr2",
            where=f"{FIRST} AND exposure_detector_region.region OVERLAPS POINT(10.0, 41.0)",
        )
        assert str(butler.getURI(ref)) == ROOT + FIRST_KEY


def test_several_tables_are_reported_one_by_one_and_a_rerun_skips_all(repo):
    expected = f"{M31}: 6 ingested, 0 already there, 0 failed\n{IRIS}: 2 ingested, 0 already there, 0 failed\n"
    assert run(repo, M31, IRIS).output == expected
    assert run(repo, M31, "--no-progress").output == "0 ingested, 6 already there, 0 failed\n"


def test_a_large_table_may_be_read_by_another_process(repo):
    assert run(repo, M31, "-j", 2).output == "6 ingested, 0 already there, 0 failed\n"


def test_images_may_be_read_from_the_bucket(repo):
    run(repo, M31, "--access", "aws")
    assert BUCKET + FIRST_KEY in uris(repo)


def test_a_dry_run_counts_by_release_and_run_and_changes_nothing(repo):
    lines = run(repo, M31, "--dry-run").output.splitlines()
    assert lines == [
        "qr2 spx/l2b-v21-2025-354: 1 images",
        "qr2 spx/l2b-v21-2025-357: 1 images",
        "qr2 spx/l2b-v21-2025-363: 3 images",
        "qr2 spx/l2b-v22-2026-006: 1 images",
        "6 images in 4 runs, 0 rows failed",
    ]
    with Butler.from_config(repo) as butler:
        assert not butler.collections.query("spx/*")


def test_what_failed_is_printed_and_written_and_sets_the_exit_status(repo, tmp_path):
    table = sia_table()
    table["energy_bandpassname"][1:] = "SPHEREx-D1"
    for _ in range(3):
        table = type(table)(rows=[*table, *table[1:]], names=table.colnames)
    table.write(tmp_path / "bad.ecsv")
    result = run(repo, tmp_path / "bad.ecsv", "--report", tmp_path / "report.json", code=1)
    assert "energy_bandpassname is 'SPHEREx-D1'" in result.stderr
    assert f"… and 20 more; {tmp_path / 'report.json'} has all." in result.stderr
    assert result.stdout == "1 ingested, 0 already there, 40 failed\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ingested"] == 1
    assert len(report["failed"]) == 40
    assert set(report["failed"][0]) == {"uri", "reason"}
    assert "--report FILE has all" in run(repo, tmp_path / "bad.ecsv", "--dry-run", code=1).stderr


def test_the_report_of_several_tables_is_one(repo, tmp_path):
    path = tmp_path / "report.json"
    run(repo, M31, IRIS, "--report", path)
    assert json.loads(path.read_text())["ingested"] == 8
    run(repo, M31, IRIS, "--report", path, "--dry-run")
    assert sum(entry["number"] for entry in json.loads(path.read_text())["images"]) == 8


def test_what_was_done_before_a_table_that_is_none_is_said(repo, tmp_path):
    (tmp_path / "page.csv").write_text("<html>504</html>")
    result = run(repo, M31, tmp_path / "page.csv", code=1)
    assert result.stdout == "6 ingested, 0 already there, 0 failed\n"
    assert "Error: " in result.stderr
    assert "an HTML or XML document that is no VOTable" in result.stderr


# From the services


def test_a_search_by_position_and_time_is_ingested(repo, archive):
    options = ["--pos", 10.68, 41.27, 0.5, "--time", "2025-12-18", "2025-12-24T12:00", "--collection", "spherex_qr2"]
    assert run(repo, "--query", "sia", *options, "--service", f"{archive.url}/SIA").output.startswith("4 ingested")
    (query,) = archive.asked
    assert query["POS"] == ["CIRCLE 10.68 41.27 0.5"]
    assert query["TIME"] == ["61027.0 61033.5"]


def test_all_collections_are_searched_where_none_is_named(repo, archive):
    run(repo, "--query", "sia", "--time", 61000, 61009, "--service", f"{archive.url}/SIA")
    assert len(archive.asked) == 4


def test_tables_are_asked_for_a_point(repo, archive):
    options = ["--pos", 162.1, 0.5, 0, "--time", 61000, 61050]
    assert run(repo, "--query", "tap", *options, "--service", f"{archive.url}/TAP").output.startswith("2 ingested")


def test_a_query_of_ones_own_may_be_in_a_file(repo, archive, tmp_path):
    adql = (
        "SELECT a.uri, p.poly, p.time_bounds_lower, p.time_bounds_upper "
        "FROM spherex.plane p JOIN spherex.artifact a ON a.planeid = p.planeid"
    )
    (tmp_path / "images.adql").write_text(adql)
    service = ["--service", f"{archive.url}/TAP"]
    assert run(repo, "--query", "tap", "--adql", adql, *service).output.startswith("8 ingested")
    assert run(repo, "--query", "tap", "--adql", f"@{tmp_path / 'images.adql'}", *service).output.startswith(
        "0 ingested"
    )


def test_what_came_before_a_service_failed_is_ingested(repo):
    answers = []

    def fail_later(path):
        answers.append(path)
        return (503, "text/plain", b"down for maintenance") if len(answers) == 4 else None

    with serve_archive(answer=fail_later) as archive:
        options = ["--time", 61000, 61050, "--collection", "spherex_qr2", "--service", f"{archive.url}/SIA"]
        result = run(repo, "--query", "sia", *options, code=1)
    assert result.stdout == "4 ingested, 0 already there, 0 failed\n"
    assert "gave no table: down for maintenance" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "There is nothing to ingest; give a TABLE, or --query"),
        ([M31, "--query", "sia"], "--query takes the place of TABLE"),
        (["--query", "sia", "-j", "2"], "--query takes the place of TABLE, and is read by one process"),
        ([M31, "--pos", 1, 2, 3], "Options of a query were given (position), but not --query"),
        ([M31, "--adql", "SELECT"], "Options of a query were given (adql), but not --query"),
        (["--query", "sia", "--adql", "SELECT"], "--adql is for --query tap"),
        (["--query", "tap", "--collection", "spherex_qr2"], "--collection is for --query sia"),
        (["--query", "tap", "--adql", "SELECT", "--pos", 1, 2, 0], "--adql is the whole query"),
        (["--query", "tap", "--pos", 1, 2, 3], "expected RADIUS 0, or --query sia"),
        (["--query", "sia", "--time", "soon", "later"], "'soon' is no time; expected one such as 2025-12-01"),
        (["--query", "scs"], "'scs' is not one of 'sia', 'tap'"),
    ],
)
def test_command_lines_that_make_no_sense_are_refused(arguments, said, repo):
    assert said in run(repo, *arguments, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.csv"], "No such file or directory: 'nothing.csv'"),
        ([M31, "--access", "isra"], "access='isra' is neither 'irsa' nor 'aws'"),
        ([M31, "--release", "qr9"], "There is no release 'qr9'"),
        (["--query", "sia", "--service", "file:///etc/passwd"], "is no web service"),
        (["--query", "tap", "--adql", "@nothing.adql"], "No such file or directory: 'nothing.adql'"),
    ],
)
def test_errors_are_messages(arguments, said, repo):
    assert said in run(repo, *arguments, code=1).stderr


def test_how_to_ingest_the_archive_works_as_written(run_forked):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "ingest-the-archive.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    before = f"""
import shutil, spherex_butler
spherex_butler.make_repo("repo").close()
shutil.copy({str(M31)!r}, "qr2.csv")
"""
    assert run_forked("\n".join([before, *blocks])) == "6 ingested, 0 already there, 0 failed\n"

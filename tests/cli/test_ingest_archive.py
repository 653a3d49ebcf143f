"""``butler spherex ingest-archive``: from the real rows, as files and from services, to datasets."""

from __future__ import annotations

import json

import pytest
from archive_samples import ADQL, BUCKET, FIRST_KEY, IRIS, M31, sia_table
from command_line import invoke, run
from lsst.daf.butler import Butler
from vo_server import serve_archive


@pytest.fixture
def archive():
    with serve_archive() as services:
        yield services


def test_several_tables_are_reported_one_by_one_and_a_rerun_skips_all(repo, tmp_path):
    path = tmp_path / "report.json"
    expected = f"{M31}: 6 ingested, 0 already there, 0 failed\n{IRIS}: 2 ingested, 0 already there, 0 failed\n"
    assert run("ingest-archive", repo, M31, IRIS, "--report", path, "--access", "aws") == expected
    assert json.loads(path.read_text())["ingested"] == 8
    with Butler.from_config(repo) as butler:
        refs = butler.query_datasets("level2", collections="SPHEREx/qr2")
        assert BUCKET + FIRST_KEY in {str(butler.getURI(ref)) for ref in refs}
    again = run("ingest-archive", repo, M31, "-j", 2, "--no-progress", "--access", "aws")
    assert again == "0 ingested, 6 already there, 0 failed\n"


def test_a_dry_run_counts_by_release_and_run_and_changes_nothing(repo, tmp_path):
    path = tmp_path / "report.json"
    assert run("ingest-archive", repo, M31, "--dry-run").splitlines() == [
        "qr2 spx/l2b-v21-2025-354: 1 image",
        "qr2 spx/l2b-v21-2025-357: 1 image",
        "qr2 spx/l2b-v21-2025-363: 3 images",
        "qr2 spx/l2b-v22-2026-006: 1 image",
        "6 images in 4 runs, 0 rows failed",
    ]
    run("ingest-archive", repo, M31, IRIS, "--report", path, "--dry-run")
    assert sum(entry["number"] for entry in json.loads(path.read_text())["images"]) == 8
    with Butler.from_config(repo) as butler:
        assert not butler.collections.query("spx/*")


def test_what_failed_is_printed_and_written_and_sets_the_exit_status(repo, tmp_path):
    table, path = sia_table(), tmp_path / "report.json"
    table["energy_bandpassname"][1:] = "SPHEREx-D1"
    for _ in range(3):
        table = type(table)(rows=[*table, *table[1:]], names=table.colnames)
    table.write(tmp_path / "bad.ecsv")
    result = invoke("ingest-archive", repo, tmp_path / "bad.ecsv", "--report", path, code=1)
    assert "energy_bandpassname is 'SPHEREx-D1'" in result.stderr
    assert f"… and 20 more; {path} has all." in result.stderr
    assert result.stdout == "1 ingested, 0 already there, 40 failed\n"
    report = json.loads(path.read_text())
    assert report["ingested"] == 1
    assert len(report["failed"]) == 40
    assert set(report["failed"][0]) == {"uri", "reason"}
    assert "--report FILE has all" in run("ingest-archive", repo, tmp_path / "bad.ecsv", "--dry-run", code=1)


def test_what_was_done_before_a_table_that_is_none_is_said(repo, tmp_path):
    (tmp_path / "page.csv").write_text("<html>504</html>")
    result = invoke("ingest-archive", repo, M31, tmp_path / "page.csv", code=1)
    assert result.stdout == "6 ingested, 0 already there, 0 failed\n"
    assert "Error: " in result.stderr
    assert "page.csv' begins with b'<html>504</html>'; expected a table as" in result.stderr


def test_a_search_by_position_and_time_is_ingested(repo, archive):
    options = ["--pos", 10.68, 41.27, 0.5, "--time", "2025-12-18", "2025-12-24T12:00", "--collection", "spherex_qr2"]
    text = run("ingest-archive", repo, "--query", "sia", *options, "--service", f"{archive.url}/SIA")
    assert text.startswith("4 ingested")
    (query,) = archive.asked
    assert query["POS"] == ["CIRCLE 10.68 41.27 0.5"]
    assert query["TIME"] == ["61027.0 61033.5"]
    run("ingest-archive", repo, "--query", "sia", "--time", 61000, 61009, "--service", f"{archive.url}/SIA")
    assert len(archive.asked) == 1 + 4  # all collections


def test_tables_are_asked_for_a_point_or_by_a_query_of_ones_own(repo, archive, tmp_path):
    command = ["ingest-archive", repo, "--query", "tap", "--service", f"{archive.url}/TAP"]
    assert run(*command, "--pos", 162.1, 0.5, 0, "--time", 61000, 61050).startswith("2 ingested")
    (tmp_path / "images.adql").write_text(ADQL)
    assert run(*command, "--adql", ADQL).startswith("6 ingested, 2 already there")
    assert run(*command, "--adql", f"@{tmp_path / 'images.adql'}").startswith("0 ingested")


def test_what_came_before_a_service_failed_is_ingested(repo):
    answers = []

    def fail_later(path):
        answers.append(path)
        return (503, "text/plain", b"down for maintenance") if len(answers) == 4 else None

    with serve_archive(answer=fail_later) as archive:
        options = ["--time", 61000, 61050, "--collection", "spherex_qr2", "--service", f"{archive.url}/SIA"]
        result = invoke("ingest-archive", repo, "--query", "sia", *options, code=1)
    assert result.stdout == "4 ingested, 0 already there, 0 failed\n"
    assert "gave no table: down for maintenance" in result.stderr


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, [], "There is nothing to ingest; give a TABLE, or --query"),
        (2, [M31, "--query", "sia"], "--query takes the place of TABLE"),
        (2, ["--query", "sia", "-j", "2"], "--query takes the place of TABLE, and is read by one process"),
        (2, [M31, "--pos", 1, 2, 3], "Options of a query were given (position), but not --query"),
        (2, [M31, "--adql", "SELECT"], "Options of a query were given (adql), but not --query"),
        (2, ["--query", "sia", "--adql", "SELECT"], "--adql is for --query tap"),
        (2, ["--query", "tap", "--collection", "spherex_qr2"], "--collection is for --query sia"),
        (2, ["--query", "tap", "--adql", "SELECT", "--pos", 1, 2, 0], "--adql is the whole query"),
        (2, ["--query", "tap", "--pos", 1, 2, 3], "expected RADIUS 0, or --query sia"),
        (2, ["--query", "sia", "--time", "soon", "later"], "'soon' is not a time; expected one such as 2025-12-01"),
        (2, ["--query", "scs"], "'scs' is not one of 'sia', 'tap'"),
        (1, ["nothing.csv"], "No such file or directory: 'nothing.csv'"),
        (1, [M31, "--release", "qr9"], "There is no release 'qr9'"),
        (1, ["--query", "tap", "--adql", "@nothing.adql"], "No such file or directory: 'nothing.adql'"),
    ],
)
def test_command_lines_that_make_no_sense_are_refused(code, arguments, message, repo):
    assert message in run("ingest-archive", repo, *arguments, code=code)


def test_host_besides_the_archives_is_allowed_by_name(repo, tmp_path):
    table = tmp_path / "mirror.csv"
    table.write_text(M31.read_text().replace("https://irsa.ipac.caltech.edu", "https://mirror.example.org"))
    text = run("ingest-archive", repo, table, "--dry-run", code=1)
    assert "which is not the archive's" in text
    assert "--allow-host mirror.example.org" in text
    assert "6 images in" in run("ingest-archive", repo, table, "--dry-run", "--allow-host", "mirror.example.org")

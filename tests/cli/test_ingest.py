"""``butler spherex ingest``: what it prints and writes, and its exit status."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler
from made_once import copy_repo

from spherex_butler.cli import main
from spherex_butler.testing import write_exposures


def run(*arguments: object, code: int = 0, **options: object) -> str:
    result = CliRunner().invoke(main, ["ingest", *map(str, arguments)], **options)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_exposures(folder, exposures=1, size=16)
    return folder


@pytest.fixture
def repo(tmp_path) -> Path:
    return copy_repo(tmp_path / "repo")


def registered(repo: Path) -> int:
    with Butler.from_config(repo) as butler:
        return len(butler.query_datasets("level2", collections="SPHEREx/defaults", explain=False))


def test_list_from_a_file(repo, archive, tmp_path):
    (tmp_path / "list.txt").write_text("# three\n" + "\n".join(map(str, sorted(archive.iterdir())[:3])))
    assert run(repo, "--files-from", tmp_path / "list.txt").startswith("3 ingested")
    last = max(archive.iterdir())
    assert run(repo, last, "--files-from", tmp_path / "list.txt").startswith("1 ingested, 3 already there")


def test_list_from_the_standard_input(repo, archive):
    paths = "\n".join(path.name for path in archive.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(archive)
        assert run(repo, "--files-from", "-", "--progress", input=paths).endswith(
            "6 ingested, 0 already there, 0 failed\n"
        )


def test_list_that_is_not_there_is_an_error(repo, tmp_path):
    assert "No such file or directory" in run(repo, "--files-from", tmp_path / "list.txt", code=1)


def test_no_paths_are_refused(repo):
    assert "There are no PATHS; expected some, or a list of them by --files-from." in run(repo, code=2)


def test_dry_run_prints_the_plan_and_changes_nothing(repo, archive, tmp_path):
    text = run(repo, archive, "--dry-run", "--report", tmp_path / "plan.json")
    assert text.splitlines() == [
        "qr2 spx/l2b-v21-2025-354: 6 to ingest, 0 already there",
        "6 to ingest, 0 already there, 0 would fail; nothing was changed",
    ]
    assert json.loads((tmp_path / "plan.json").read_text())["runs"][0]["ingested"] == 6
    with Butler.from_config(repo) as butler:
        assert butler.collections.query("spx/*") == []


def test_dry_run_with_failures_sets_the_exit_status(repo, archive):
    assert "there is no such file or folder" in run(repo, archive / "nothing", "-n", code=1)


def test_report_is_written_as_json(repo, archive, tmp_path):
    run(repo, archive, archive / "nothing", "--report", tmp_path / "report.json", code=1)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ingested"], report["skipped"], report["updated"], report["interrupted"]) == (6, 0, [], False)
    assert report["failed"] == [{"uri": (archive / "nothing").as_uri(), "reason": "there is no such file or folder."}]


def test_report_that_cannot_be_written_is_an_error_before_anything_is_done(repo, archive, tmp_path):
    assert "is no folder; expected one" in run(repo, archive, "--report", tmp_path / "no" / "report.json", code=2)
    assert not any(repo.rglob("*.fits"))


def test_records_are_updated(repo, archive):
    run(repo, archive)
    assert run(repo, archive, "--update-records") == "0 ingested, 6 already there, 0 failed\n"


def test_progress_has_rate_and_time_left(repo, archive):
    text = run(repo, archive, "--progress")
    assert "Ingesting: 100%" in text
    assert "6/6" in text
    assert "/s]" in text
    assert run(repo, archive, "--no-progress") == "0 ingested, 6 already there, 0 failed\n"


def test_interrupt_ends_cleanly_and_the_same_command_goes_on(repo, archive, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(40):  # each of a run of its own, so that there is time to interrupt
        for path in list(archive.iterdir())[:2]:
            shutil.copy(path, many / path.name.replace("354", f"{100 + number}"))
    command = [sys.executable, "-m", "spherex_butler", "ingest", str(repo), str(many), "-j", "2"]
    ingest = subprocess.Popen(
        [*command, "--report", str(tmp_path / "report.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    until = time.monotonic() + 60
    while not any(repo.rglob("*.fits")) and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(ingest.pid, signal.SIGINT)  # as a terminal does, to the readers of headers too
    out, err = ingest.communicate(timeout=60)
    assert ingest.returncode == 130, err
    assert err == "Interrupted. What is said above is done; the same command goes on with the rest.\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["interrupted"]
    assert out == f"{report['ingested']} ingested, 0 already there, 0 failed\n"
    assert report["ingested"] < 80
    assert f"{report['ingested']} already there, 0 failed" in run(repo, many)

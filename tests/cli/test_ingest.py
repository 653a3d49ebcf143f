"""``butler spherex ingest``: what it prints and writes, and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import run
from lsst.daf.butler import Butler
from made_once import copy_exposures


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    copy_exposures(folder)
    return folder


def test_paths_are_listed_in_a_file_or_on_the_standard_input(repo, archive, tmp_path, monkeypatch):
    listing = tmp_path / "list.txt"
    listing.write_text("# three\n" + "\n".join(map(str, sorted(archive.iterdir())[:3])))
    assert run("ingest", repo, "--files-from", listing).startswith("3 ingested")
    assert run("ingest", repo, max(archive.iterdir()), "--files-from", listing).startswith("1 ingested, 3 already")
    monkeypatch.chdir(archive)
    paths = "\n".join(path.name for path in archive.iterdir())
    assert run("ingest", repo, "--files-from", "-", input=paths) == "2 ingested, 4 already there, 0 failed\n"


def test_command_lines_that_make_no_sense_are_refused_before_anything_is_done(repo, archive, tmp_path):
    assert "There are no PATHS; expected some, or a list of them by --files-from." in run("ingest", repo, code=2)
    assert "No such file or directory" in run("ingest", repo, "--files-from", tmp_path / "list.txt", code=1)
    report = tmp_path / "no" / "report.json"
    assert "is not a folder; expected one" in run("ingest", repo, archive, "--report", report, code=2)
    assert not any(repo.rglob("*.fits"))


def test_dry_run_prints_the_plan_and_changes_nothing(repo, archive, tmp_path):
    text = run("ingest", repo, archive, "--dry-run", "--report", tmp_path / "plan.json")
    assert text.splitlines() == [
        "qr2 spx/l2b-v21-2025-354: 6 to ingest, 0 already there",
        "6 to ingest, 0 already there, 0 would fail; nothing was changed",
    ]
    assert json.loads((tmp_path / "plan.json").read_text())["runs"][0]["ingested"] == 6
    with Butler.from_config(repo) as butler:
        assert butler.collections.query("spx/*") == []
    assert "there is no such file or folder" in run("ingest", repo, archive / "nothing", "-n", code=1)


def test_what_failed_sets_the_exit_status_and_is_in_the_report(repo, archive, tmp_path):
    bad = tmp_path / "image.fits"
    bad.write_text("nothing")
    text = run("ingest", repo, archive, archive / "nothing", bad, "--report", tmp_path / "report.json", code=1)
    assert "'image.fits' is not the name of a SPHEREx product" in text
    assert text.endswith("6 ingested, 0 already there, 2 failed\n")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ingested"], report["skipped"], report["updated"], report["interrupted"]) == (6, 0, [], False)
    failed = {"uri": (archive / "nothing").as_uri(), "reason": "there is no such file or folder."}
    assert failed in report["failed"]


def test_progress_has_rate_and_time_left(repo, archive):
    text = run("ingest", repo, archive, "--progress")
    assert "Ingesting: 100%" in text
    assert "6/6" in text
    assert "/s]" in text
    skipped = "0 ingested, 6 already there, 0 failed\n"
    assert run("ingest", repo, archive, "--no-progress") == skipped
    assert run("ingest", repo, archive, "--update-records") == skipped


def test_interrupt_ends_cleanly_and_the_same_command_goes_on(repo, archive, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    path = next(archive.iterdir())
    for number in range(30):  # each of a run of its own, so that there is time to interrupt
        (many / path.name.replace("354", f"{100 + number}")).hardlink_to(path)
    command = [sys.executable, "-m", "spherex_butler", "ingest", str(repo), str(many), "-j", "2"]
    ingest = subprocess.Popen(
        [*command, "--report", str(tmp_path / "report.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        # A shell that runs the tests in the background has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  (no threads here)
    )
    until = time.monotonic() + 60
    while not any(repo.rglob("*.fits")) and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(ingest.pid, signal.SIGINT)  # as a terminal does, to the readers of headers too
    out, err = ingest.communicate(timeout=60)
    # Where it comes while Python executes text, CPython 3.11 ends by the signal itself, which shells show as 130.
    assert ingest.returncode in {130, -signal.SIGINT}, err
    assert err == "Interrupted. What was finished stays; give the same command again to go on.\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["interrupted"]
    assert out == f"{report['ingested']} ingested, 0 already there, 0 failed\n"
    assert report["ingested"] < 30
    assert f"{report['ingested']} already there, 0 failed" in run("ingest", repo, many)


def test_repository_that_is_not_spherex_is_refused_without_talk_of_an_interrupt(archive, tmp_path):
    Butler.makeRepo(str(tmp_path / "rubin"))
    text = run("ingest", tmp_path / "rubin", archive, "--report", tmp_path / "report.json", code=1)
    assert "expected the SPHEREx universe" in text
    assert "Interrupted" not in text
    assert json.loads((tmp_path / "report.json").read_text())["interrupted"]

"""``butler spherex cutouts``: files for the rows of a table, what is said of them, and an interrupt."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from command_line import run
from forked import start_script
from http_server import serve
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler import SpectralImage
from spherex_butler.ingest import ingest_files


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return the current folder, with a repository of six images and a table of them."""
    monkeypatch.chdir(tmp_path)
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        refs = ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="direct").ingested
    write_table(sorted(refs))
    return tmp_path


def write_table(refs, name="found.csv") -> None:
    rows = [f"M31,{ref.id},1020,1020" for ref in refs]
    Path(name).write_text("\n".join(["source,dataset_id,x,y", *rows, ""]))


@pytest.mark.usefixtures("folder")
def test_cutouts_are_written_once():
    line = ("cutouts", "repo", "found.csv", "new/cut", "--size", "4,6", "--report", "report.json")
    said = run(*line, "--planes", "flags,VARIANCE")
    assert said == "6 cutouts fetched, 0 already there, 0 failed\n"
    report = json.loads(Path("report.json").read_text())
    assert {Path(path).parent for path in report["files"]} == {Path("new/cut")}
    assert {Path(path).name for path in report["files"]} == {path.name for path in Path("new/cut").iterdir()}
    image = SpectralImage.read(report["files"][0])
    assert image.shape == (4, 6)
    assert "WCS-WAVE" not in str(image)
    assert run(*line, "--planes", "VARIANCE,FLAGS") == "0 cutouts fetched, 6 already there, 0 failed\n"
    dry = run(*line, "--planes", "VARIANCE,FLAGS", "-n")
    assert dry == "Dry run, nothing changed: 0 cutouts of 0 images fetched, 6 already there, 0 failed\n"
    assert json.loads(Path("report.json").read_text()) == {"to_fetch": 0, "images": 0, "there": 6, "failed": []}


@pytest.mark.usefixtures("folder")
def test_rows_that_fail_are_told_and_set_the_exit_status():
    run("cutouts", "repo", "found.csv", "cut", "--size", "4")
    Path("bad.csv").write_text(Path("found.csv").read_text() + "far,none,1,1\n" * 30)
    said = run("cutouts", "repo", "bad.csv", "cut", "--size", "4", "--report", "report.json", code=1)
    assert said == (
        "30 rows, the first is row 6, dataset none: dataset_id is 'none'; expected the id of a dataset.\n"
        "0 cutouts fetched, 6 already there, 30 failed\n"
    )
    report = json.loads(Path("report.json").read_text())
    assert [failed["row"] for failed in report["failed"]] == [*range(6, 36)]
    assert report["files"][6:] == [None] * 30


@pytest.mark.usefixtures("folder")
def test_progress_is_shown():
    said = run("cutouts", "repo", "found.csv", "cut", "--size", "4", "--progress")
    assert "Fetching cutouts: 100%" in said
    assert "6/6" in said


INTERRUPTED = """
import signal, sys
from spherex_butler.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
main(["cutouts", "repo", "found.csv", "cut", "--size", "4", "--connections", "1", "--no-progress"])
"""


def test_interrupt_says_what_was_done_and_the_same_command_goes_on(folder):
    files = copy_exposures(folder / "served", size=64)
    silent: list[bool] = []
    with serve(folder / "served", fault=lambda n: "stall" if silent and n > before + 25 else None) as served:
        with open_repo(copy_repo(folder / "elsewhere" / "repo")) as butler:
            refs = ingest_files(butler, [f"{served.url}/{path.name}" for path in files], transfer="direct").ingested
        write_table(sorted(refs), "elsewhere/found.csv")
        before = len(served.requests)
        silent.append(True)
        script = start_script(INTERRUPTED, folder=folder / "elsewhere")
        while len(served.requests) < before + 27 and script.runs:
            time.sleep(0.01)
        os.kill(script.process.pid, signal.SIGINT)
        begin = time.perf_counter()
        assert script.wait() == 130, script.said
        assert time.perf_counter() - begin < 5
        written = len(list((folder / "elsewhere" / "cut").glob("*.fits")))
        assert 1 <= written < 6
        assert f"{written} cutouts fetched, 0 already there, 0 failed\n" in script.said
        assert "Interrupted. What was finished stays; give the same command again to go on." in script.said
        silent.clear()
        os.chdir(folder / "elsewhere")
        said = run("cutouts", "repo", "found.csv", "cut", "--size", "4")
        assert said == f"{6 - written} cutouts fetched, {written} already there, 0 failed\n"

"""``butler spherex export``: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from damage import certify, images, path_of, put_dark
from lsst.daf.butler import Butler
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler.cli import main
from spherex_butler.ingest import ingest_files


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["export", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def repos(tmp_path) -> tuple[Path, Path]:
    files = copy_exposures(tmp_path / "files", exposures=1)
    with open_repo(copy_repo(tmp_path / "source")) as butler:
        ingest_files(butler, files, transfer="copy")
        certify(butler, put_dark(butler))
    copy_repo(tmp_path / "target")
    return tmp_path / "source", tmp_path / "target"


def test_images_are_exported_with_their_calibrations(repos, tmp_path):
    assert run(*repos, "detector=3", "-t", "copy", "--report", tmp_path / "report.json") == (
        "1 images exported, 0 already there; 1 calibrations exported, 0 already there; "
        "1 validity ranges certified; 0 failed\n"
    )
    assert json.loads((tmp_path / "report.json").read_text())["images"] == 1
    assert run(*repos, "--where", "detector IN (3, 4)", "--no-calibrations").startswith(
        "1 images exported, 1 already there; 0 calibrations exported, 0 already there"
    )


def test_dry_run_only_counts(repos):
    assert run(*repos, "--dry-run").startswith("would be: 6 images exported")
    with Butler.from_config(repos[1]) as target:
        assert target.collections.query("*") == ["SPHEREx/calib", "SPHEREx/defaults"]


def test_failure_sets_the_exit_status(repos):
    with Butler.from_config(repos[0], collections="SPHEREx/defaults") as source:
        path_of(source, images(source)[0]).unlink()
    text = run(*repos, "-t", "copy", "--all-processings", code=1)
    assert "FileNotFoundError" in text
    assert "5 images exported" in text


def test_progress_is_shown(repos):
    assert "Exporting planning periods" in run(*repos, "--progress")


def test_command_line_that_makes_no_sense_is_refused(repos):
    assert "'detector' is not of the form DIMENSION=VALUE" in run(*repos, "detector", code=2)
    assert "'detector=4' is a second value of 'detector'" in run(*repos, "detector=1", "detector=4", code=2)
    assert "'transfer=copy': 'transfer' is no dimension of SOURCE" in run(*repos, "transfer=copy", code=2)
    assert "Invalid value for '-t'" in run(*repos, "-t", "move", code=2)
    assert "cannot be searched in ['nowhere']" in run(*repos, "--collections", "nowhere", code=1)
    assert "Error: " in run(repos[0], repos[1] / "nothing", code=1)

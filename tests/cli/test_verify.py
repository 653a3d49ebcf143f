"""``butler spherex verify``: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from damage import damage, images, lose_regions, path_of
from lsst.daf.butler import Butler
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler.cli import main
from spherex_butler.ingest import ingest_files


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["verify", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def repo(tmp_path) -> Path:
    files = copy_exposures(tmp_path / "files", exposures=1)
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        ingest_files(butler, files, transfer="copy")
    return tmp_path / "repo"


def test_repository_that_is_well(repo):
    assert run(repo, "--checksum").endswith("6 images, 6 datasets, 6 files checked; no problems\n")
    assert "Checking planning periods" not in run(repo)


def test_problems_set_the_exit_status(repo):
    with Butler.from_config(repo, collections="SPHEREx/defaults") as butler:
        path_of(butler, images(butler)[0]).unlink()
    text = run(repo, code=1)
    assert "file missing: level2 detector=1" in text
    text = run(repo, "--limit", 0, code=1)
    assert "file missing: 1 more like these" in text
    assert text.endswith("checked; 1 with problems\n")


def test_notes_that_are_not_listed_do_not_set_the_exit_status(repo):
    with Butler.from_config(repo) as butler:
        damage(butler, "UPDATE exposure_detector_region SET region = NULL")
    assert run(repo, "--limit", 0).endswith("no problems\n")


def test_fix_says_that_only_what_is_listed_is_repaired(repo):
    with Butler.from_config(repo) as butler:
        lose_regions(butler)
    text = run(repo, "--fix", "--limit", 0, code=1)
    assert text.endswith("not repaired: what is not listed; run it again, or with a larger --limit.\n")
    assert "not listed" not in run(repo, "--fix")


def test_fix_says_what_it_did(repo, tmp_path):
    with Butler.from_config(repo) as butler:
        lose_regions(butler)
    text = run(repo, "--fix", "--report", tmp_path / "report.json")
    assert "repaired: 2025W51_1A: 6 region rows were inserted." in text
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["findings"][0]["kind"] == "region_missing"
    assert report["repairs"] == [{"subject": "2025W51_1A", "done": True, "message": "6 region rows were inserted."}]
    assert run(repo).endswith("no problems\n")


def test_what_was_not_repaired_sets_the_exit_status(repo):
    with Butler.from_config(repo, collections="SPHEREx/defaults") as butler:
        lose_regions(butler, "detector = 1")
        path_of(butler, images(butler)[0]).unlink()
    text = run(repo, "--fix", code=1)
    assert "not repaired: 2025W51_1A: 0 region rows were inserted; 1 could not be made" in text


def test_remote_asks(repo):
    assert run(repo, "--remote", "--requests", 2).endswith("no problems\n")


def test_progress_is_shown(repo):
    assert "Checking planning periods" in run(repo, "--progress")


def test_nothing_to_verify_is_refused():
    assert "Nothing to verify; give --config, or a repository." in run(code=2)


def test_repository_that_is_not_there_is_refused(tmp_path):
    assert "Error: " in run(tmp_path / "nothing", code=1)

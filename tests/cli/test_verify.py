"""``butler spherex verify``: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run
from damage import damage, images, lose_regions, path_of
from lsst.daf.butler import Butler
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler import config_path
from spherex_butler.ingest import ingest_files


@pytest.fixture
def repo(tmp_path) -> Path:
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="copy")
    return tmp_path / "repo"


def test_a_configuration_that_is_not_found_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", f"{config_path()}:{tmp_path}/missing")
    text = run("verify", "--config", code=1)
    assert config_path() in text
    assert "warning: " in text
    assert f"{tmp_path}/missing" in text
    monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", config_path())
    assert "warning" not in run("verify", "--config")


def test_repository_without_problems(repo):
    assert run("verify", repo).endswith("6 images, 12 datasets, 12 files checked; no problems\n")
    text = run("verify", repo, "--remote", "--requests", 2, "--progress")
    assert "Checking planning periods" in text
    assert text.endswith("no problems\n")


def test_checksums_that_are_not_on_record_are_said_first(repo):
    text = run("verify", repo, "--checksum")
    assert text.startswith(
        "note: content not compared: checksums: 12 files without a checksum on record, of which only "
    )
    assert "Butler records checksums of what comes in after 'checksum: true' was set under 'datastore:'" in text
    assert text.endswith("checked; no problems\n")


def test_problems_set_the_exit_status(repo):
    with Butler.from_config(repo, collections="SPHEREx/defaults") as butler:
        path_of(butler, images(butler)[0]).unlink()
    text = run("verify", repo, code=1)
    assert "file missing: level2 detector=1" in text
    text = run("verify", repo, "--limit", 0, code=1)
    assert "file missing: 1 more like these" in text
    assert text.endswith("checked; 1 problem\n")


def test_notes_that_are_not_listed_do_not_set_the_exit_status(repo):
    with Butler.from_config(repo) as butler:
        damage(butler, "UPDATE exposure_detector_region SET region = NULL")
    assert run("verify", repo, "--limit", 0).endswith("no problems\n")


def test_fix_says_that_only_what_is_listed_is_repaired(repo):
    with Butler.from_config(repo) as butler:
        lose_regions(butler)
    text = run("verify", repo, "--fix", "--limit", 0, code=1)
    assert text.endswith("not repaired: what is not listed; run it again, or with a larger --limit.\n")
    assert "not listed" not in run("verify", repo, "--fix")


def test_fix_says_what_it_did(repo, tmp_path):
    with Butler.from_config(repo) as butler:
        lose_regions(butler)
    text = run("verify", repo, "--fix", "--report", tmp_path / "report.json")
    assert "repaired: 2025W51_1A: 6 region rows were inserted." in text
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["findings"][0]["kind"] == "region_missing"
    assert report["repairs"] == [{"subject": "2025W51_1A", "done": True, "message": "6 region rows were inserted."}]
    assert run("verify", repo).endswith("no problems\n")


def test_what_was_not_repaired_sets_the_exit_status(repo):
    with Butler.from_config(repo, collections="SPHEREx/defaults") as butler:
        lose_regions(butler, "detector = 1")
        path_of(butler, images(butler)[0]).unlink()
    text = run("verify", repo, "--fix", code=1)
    assert "not repaired: 2025W51_1A: 0 region rows were inserted; 1 could not be made" in text


def test_nothing_to_verify_is_refused(tmp_path):
    assert "Nothing to verify; give --config, or a repository." in run("verify", code=2)
    assert "Error: " in run("verify", tmp_path / "nothing", code=1)


def test_what_was_found_is_said_though_repairs_cannot_begin(repo, tmp_path):
    with Butler.from_config(repo) as butler:
        lose_regions(butler)
    text = run("verify", repo, "--fix", "--from", tmp_path / "nowhere", code=1)
    assert text.index("region row missing: 2025W51_1A") < text.index("Error: Copies of lost files cannot be looked for")

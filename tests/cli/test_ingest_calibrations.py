"""``butler spherex ingest-calibrations``: what it prints and writes, and its exit status."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from command_line import run
from lsst.daf.butler import Butler, Timespan

from spherex_butler.constants import CALIBRATION_COLLECTION
from spherex_butler.testing import write_calibration, write_calibrations

DARK = "cal-drk-v4-2025-161"


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    return write_calibration(tmp_path / "archive", "dark", DARK, detector=4)


def test_release_goes_in_and_is_valid(repo, tmp_path):
    paths = write_calibrations(tmp_path / "archive", detectors=[4])
    text = run("ingest-calibrations", repo, tmp_path / "archive", "-t", "copy", "-j", "2", "--progress")
    count = len(paths)
    assert text.endswith(f"{count} ingested, 0 already there, 0 failed; {count} certified\n")
    with Butler.from_config(repo) as butler:
        found = butler.find_dataset(
            "dark",
            {"instrument": "SPHEREx", "detector": 4},
            collections=CALIBRATION_COLLECTION,
            timespan=Timespan(None, None),
        )
    assert found is not None
    text = run("ingest-calibrations", repo, tmp_path / "archive")
    assert text == f"0 ingested, {count} already there, 0 failed; 0 certified\n"


def test_nothing_is_certified_where_that_is_said(repo, dark):
    text = run("ingest-calibrations", repo, dark, "--certify", "none")
    assert text == "1 ingested, 0 already there, 0 failed; 0 certified\n"


def test_validity_by_release(repo, dark):
    text = run("ingest-calibrations", repo, dark, "--certify", "release")
    assert text.splitlines()[0].startswith("not certified: dark D4: no token of qr3 is known; certify one of")
    assert text.splitlines()[0].endswith(" by --token …, with --release qr3.")
    assert text.endswith("1 ingested, 0 already there, 0 failed; 1 certified\n")


def test_ids_of_the_archive_are_read_from_a_file(repo, dark, tmp_path):
    given = uuid.uuid4()
    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps({dark.name: str(given)}))
    run("ingest-calibrations", repo, dark, "--archive-ids", ids)
    with Butler.from_config(repo) as butler:
        assert butler.get_dataset(given).datasetType.name == "dark"


def test_failed_file_sets_the_exit_status_and_is_in_the_report(repo, dark, tmp_path):
    bad = tmp_path / "dark.fits"
    bad.write_text("nothing")
    report = tmp_path / "report.json"
    text = run("ingest-calibrations", repo, dark, bad, "--report", report, code=1)
    assert "'dark.fits' is not the name of a SPHEREx product" in text
    assert text.endswith("1 ingested, 0 already there, 1 failed; 1 certified\n")
    content = json.loads(report.read_text())
    assert (content["ingested"], content["certified"]) == (1, [f"dark D4 {DARK}, valid always"])
    assert content["failed"][0]["uri"] == bad.as_uri()


def test_type_that_cannot_be_certified_sets_the_exit_status(repo, tmp_path):
    path = write_calibration(tmp_path / "archive", "dark", "cal-drk-v9-2027-001", detector=4)
    text = run("ingest-calibrations", repo, path.rename(tmp_path / path.name), "--certify", "release", code=1)
    assert text.startswith("cal-drk-v9-2027-001: version 9 is newer than 4, the newest known of 'cal-drk'.")
    assert "\ndark: was ingested but not certified: dark D4: no token of qr2 is known" in text
    assert text.endswith("1 ingested, 0 already there, 0 failed; 0 certified, not certified: dark\n")


def test_error_is_no_traceback(repo, tmp_path):
    ids = tmp_path / "ids.yaml"
    ids.write_text("- nothing")
    text = run("ingest-calibrations", repo, tmp_path, "--archive-ids", ids, code=1)
    assert text.startswith("Error: ")
    assert "expected a mapping of file names to ids" in text

"""Whatever one calibration file raises is that file's failure, at every step; the others go in."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import yaml
from one_bad_item import ERRORS, in_placing, in_registration, raise_for

from spherex_butler.calibrations import ingest_calibrations
from spherex_butler.calibrations.reports import CalibrationIngestReport
from spherex_butler.errors import RepositoryError
from spherex_butler.testing import write_calibration

DARK = "cal-drk-v4-2025-161"


@pytest.fixture
def darks(tmp_path: Path) -> list[Path]:
    return [write_calibration(tmp_path / "archive", "dark", DARK, detector=detector) for detector in range(1, 4)]


def require_failure_of(report, path, error):
    (failure,) = report.failed
    assert failure.uri == path.as_uri()
    assert failure.reason == f"{type(error).__name__}: {error}".removesuffix(": ")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("spoil", [in_placing, in_registration])
def test_file_that_raises_anything_fails_alone(butler, darks, monkeypatch, spoil, error):
    spoil(monkeypatch, darks[1], error)
    report = ingest_calibrations(butler, darks, transfer="hardlink")
    require_failure_of(report, darks[1], error)
    assert sorted(ref.dataId["detector"] for ref in report.ingested) == [1, 3]
    assert len(report.certified) == 2


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_file_that_cannot_be_parsed_fails_alone(butler, darks, monkeypatch, tmp_path, error):
    gains = write_calibration(tmp_path / "archive", "gain_factors", "base-2025-158")
    raise_for(monkeypatch, yaml, "safe_load", lambda content: b"gains" in content, error)
    report = ingest_calibrations(butler, [*darks, gains])
    assert len(report.ingested) == 3
    assert [failure.uri for failure in report.failed] == [gains.as_uri()]
    assert str(error) in report.failed[0].reason


def test_full_disk_ends_the_call_and_the_report_tells_what_is_done(butler, darks, monkeypatch, tmp_path):
    maps = write_calibration(tmp_path / "archive", "nonfunc", "base-2025-158", detector=1)
    in_placing(monkeypatch, maps, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    report = CalibrationIngestReport()
    with pytest.raises(RepositoryError, match=r"^The repository's files cannot be written: OSError"):
        ingest_calibrations(butler, [*darks, maps], transfer="hardlink", report=report)
    assert (len(report.ingested), report.failed) == (3, [])


@pytest.mark.parametrize("way", ["file", "folder"])
def test_move_that_was_killed_at_its_end_is_already_there(butler, darks, way):
    ingest_calibrations(butler, darks, transfer="move")
    assert not any(path.exists() for path in darks)
    report = ingest_calibrations(butler, darks if way == "file" else darks[0].parent, transfer="move")
    assert report.failed == []
    assert len(report.skipped) == (3 if way == "file" else 0)


def test_token_newer_than_all_known_is_told_once(butler, tmp_path):
    newer = [
        write_calibration(tmp_path / "files", "dark", "cal-drk-v9-2027-100", detector=detector) for detector in (1, 2)
    ]
    assert ingest_calibrations(butler, newer).warnings == []  # in the folder of a release
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    report = ingest_calibrations(butler, [path.rename(folder / path.name) for path in newer])
    (warning,) = report.warnings
    assert warning.startswith("cal-drk-v9-2027-100: version 9 is newer than 4, the newest known of 'cal-drk'")

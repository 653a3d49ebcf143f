"""``--json``: one document on the standard output and nothing else there, with the exit status as without it."""

from __future__ import annotations

import json
import uuid

import pytest
from calibration_repositories import BEGIN, DARK, END, NEWER_DARK, observe, register
from command_line import invoke
from damage import images, lose_regions, path_of
from lsst.daf.butler import Butler
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler.calibrations import certify
from spherex_butler.ingest import ingest_files

BOUND = "2026-07-20T00:00:00"


def document(*arguments: object, code: int = 0):
    """Return what a command prints to the standard output, as JSON."""
    return json.loads(invoke(*arguments, "--json", code=code).stdout)


@pytest.fixture
def calibrated(repo):
    """A repository with two darks of detector 3, valid one after the other, and an exposure that the first is for."""
    with open_repo(repo) as butler:
        register(butler, "dark", DARK)
        register(butler, "dark", NEWER_DARK)
        observe(butler)
        certify(butler, "dark", rule="explicit", token=DARK, end=BOUND)
        certify(butler, "dark", rule="explicit", token=NEWER_DARK, begin=BOUND)
    return repo


@pytest.fixture
def filled(repo, tmp_path):
    with open_repo(repo) as butler:
        ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="copy")
    return repo


def utc(text: str) -> dict[str, str]:
    return {"value": text, "scale": "utc"}


def test_calibrations(calibrated):
    found = document("calibrations", calibrated, "dark", "--detector", 3)
    assert {name: found[name] for name in ("collection", "at")} == {"collection": "SPHEREx/calib", "at": None}
    first, second = found["calibrations"]
    assert uuid.UUID(first.pop("id")) != uuid.UUID(second.pop("id"))
    assert first == {
        "dataset_type": "dark",
        "data_id": {"instrument": "SPHEREx", "detector": 3},
        "run": f"spx/{DARK}",
        "storage_class": "CCDData",
        "token": DARK,
        "rule": "explicit",
        "begin": None,
        "end": utc(BOUND),
        "collection": "SPHEREx/calib",
    }
    assert (second["token"], second["begin"], second["end"]) == (NEWER_DARK, utc(BOUND), None)
    found = document("calibrations", calibrated, "--at", BEGIN)
    assert found["at"] == utc(BEGIN)
    assert {one["token"] for one in found["calibrations"]} == {DARK}
    assert document("calibrations", calibrated, "nonfunc")["calibrations"] == []


def test_explain(calibrated):
    found = document("explain", calibrated, "dark", "nonfunc", "--exposure", 20255110106842, "--detector", 3, code=1)
    dark, nonfunc = found["explanations"]
    assert dark["image"] == {"instrument": "SPHEREx", "exposure": 20255110106842, "detector": 3}
    assert dark["timespan"] == {"begin": utc(BEGIN), "end": utc(END)}
    assert dark["chosen"]["run"] == f"spx/{DARK}"
    assert dark["verdict"].startswith(f"It gets {DARK} ({dark['chosen']['id']})")
    assert [one["id"] for one in dark["valid"]] == [dark["chosen"]["id"]]
    assert [one["token"] for one in dark["invalid"]] == [NEWER_DARK]
    assert (nonfunc["chosen"], nonfunc["rule"]) == (None, None)
    names = {"dataset_type", "image", "timespan", "chosen", "rule", "verdict", "valid", "hidden", "invalid"}
    assert set(dark) == set(nonfunc) == {*names, "uncertified", "collections"}


def test_verify(filled):
    found = document("verify", filled, "--progress")
    findings = found.pop("findings")
    checked = {"images": 6, "datasets": 12, "files": 12}  # six are the detectors' distortions
    assert found == {"ok": True, "checked": checked, "unlisted": {}, "unlisted_notes": {}, "repairs": []}
    names = {"kind", "subject", "message", "count", "problem", "dataset"}
    assert [(set(one), one["problem"]) for one in findings] == [(names, False)] * len(findings)


def test_verify_tells_problems_and_what_became_of_them(filled, tmp_path):
    with Butler.from_config(filled, collections="SPHEREx/defaults") as butler:
        lose_regions(butler, "detector = 1")
        lost = images(butler)[1]
        path_of(butler, lost).unlink()
    found = document("verify", filled, "--fix", "--report", tmp_path / "report.json", code=1)
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert not found["ok"]
    problems = {one["kind"]: one for one in found["findings"] if one["problem"]}
    assert set(problems) == {"region_missing", "file_missing"}
    assert problems["file_missing"]["dataset"] == str(lost.id)
    assert [one["done"] for one in found["repairs"] if "region" in one["message"]] == [True]


def test_verify_tells_what_it_found_also_when_its_repair_fails(filled, tmp_path):
    with Butler.from_config(filled, collections="SPHEREx/defaults") as butler:
        path_of(butler, images(butler)[0]).unlink()
    result = invoke("verify", filled, "--fix", "--from", tmp_path / "nowhere", "--json", code=1)
    assert [one["kind"] for one in json.loads(result.stdout)["findings"] if one["problem"]] == ["file_missing"]
    assert "nowhere" in result.stderr


def test_verify_of_the_configuration(monkeypatch, tmp_path):
    monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", f"{tmp_path}/missing")
    found = document("verify", "--config", "--report", tmp_path / "report.json", code=1)
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert not found["ok"]
    assert {"subject", "message", "warning"} == set(found["findings"][0])
    assert any(f"{tmp_path}/missing" in one["subject"] for one in found["findings"] if one["warning"])


@pytest.mark.parametrize(
    "arguments", [("calibrations", "drak"), ("explain", "drak", "--exposure", 1, "--detector", 1), ("verify", "--fix")]
)
def test_an_error_leaves_the_standard_output_empty(tmp_path, arguments):
    command, *rest = arguments
    result = invoke(command, copy_repo(tmp_path / "r") if command != "verify" else tmp_path, *rest, "--json", code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")

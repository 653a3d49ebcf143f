"""``butler spherex export``: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run
from damage import certify, images, path_of, put_dark
from lsst.daf.butler import Butler, CollectionType
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler.ingest import ingest_files


@pytest.fixture
def repos(tmp_path) -> tuple[Path, Path]:
    with open_repo(copy_repo(tmp_path / "source")) as butler:
        ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="copy")
        certify(butler, put_dark(butler))
    return tmp_path / "source", copy_repo(tmp_path / "target")


def test_images_are_exported_with_their_calibrations(repos, tmp_path):
    assert run("export", *repos, "--dry-run").startswith("Dry run, nothing changed: 6 images exported")
    with Butler.from_config(repos[1]) as target:
        assert target.collections.query("*") == ["SPHEREx/calib", "SPHEREx/defaults"]
    assert run("export", *repos, "detector=3", "-t", "copy", "--report", tmp_path / "report.json") == (
        "1 image exported, 0 already there; 1 calibration exported, 0 already there; "
        "1 validity ranges certified; 0 failed\n"
    )
    assert json.loads((tmp_path / "report.json").read_text())["images"] == 1
    text = run("export", *repos, "--where", "detector IN (3, 4)", "--no-calibrations", "--progress")
    assert "Exporting planning periods" in text
    assert "1 image exported, 1 already there; 0 calibrations exported, 0 already there" in text


def test_names_of_exposures_and_detectors_restrict_the_images(repos):
    text = run("export", *repos, "exposure=2025W51_1A_0684_2", "detector=D3", "--dry-run")
    assert text.startswith("Dry run, nothing changed: 1 image exported")


def test_export_that_matches_nothing_says_what_was_asked(repos):
    text = run("export", *repos, "planning_period=2020W51_1A", "--where", "detector = 3", code=1)
    assert text == (
        "level2 planning_period=2020W51_1A 'detector = 3': No such image is in SPHEREx/defaults of the source; "
        "'butler spherex list' tells what is there.\n"
        "0 images exported, 0 already there; 0 calibrations exported, 0 already there; "
        "0 validity ranges certified; 1 failed\n"
    )


def test_failure_sets_the_exit_status(repos):
    with Butler.from_config(repos[0], collections="SPHEREx/defaults") as source:
        path_of(source, images(source)[0]).unlink()
    text = run("export", *repos, "-t", "copy", "--all-processings", code=1)
    assert "is not there" in text
    assert "5 images exported" in text


def test_everything_is_exported(repos, tmp_path):
    with open_repo(repos[0]) as source:
        source.collections.register("u/me/best", CollectionType.TAGGED)
        source.registry.associate("u/me/best", images(source)[:2])
    assert "Dry run, nothing changed: 118 dimension records; 13 datasets copied" in run(
        "export", *repos, "--everything", "--dry-run"
    )
    text = run("export", *repos, "--everything", "--progress", "--report", tmp_path / "report.json")
    assert "Copying datasets: 100%" in text
    assert "13 datasets copied, 0 already there; 5 new collections; 1 validity ranges certified; 0 failed" in text
    assert json.loads((tmp_path / "report.json").read_text())["datasets"] == 13
    with Butler.from_config(repos[1]) as target:
        assert len(target.query_datasets("level2", "u/me/best")) == 2
    assert "0 datasets copied, 13 already there" in run("export", *repos, "--everything")


def test_everything_leaves_no_choice(repos):
    text = run("export", *repos, "detector=3", "--everything", "--where", "detector = 3", "--no-calibrations", code=2)
    assert "leave out DIMENSION=VALUE, --where, --no-calibrations, or --everything" in " ".join(text.split())


def test_command_line_that_makes_no_sense_is_refused(tmp_path):
    repos = copy_repo(tmp_path / "source"), copy_repo(tmp_path / "target")
    assert "'detector' is not of the form DIMENSION=VALUE" in run("export", *repos, "detector", code=2)
    assert "'detector=4' is a second value of 'detector'" in run("export", *repos, "detector=1", "detector=4", code=2)
    assert "'transfer=copy': 'transfer' is not a dimension of SOURCE" in run("export", *repos, "transfer=copy", code=2)
    assert "Invalid value for '-t'" in run("export", *repos, "-t", "move", code=2)
    assert "Error: " in run("export", repos[0], tmp_path / "nothing", code=1)

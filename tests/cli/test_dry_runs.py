"""``--dry-run`` of every command that changes something: it says what would be done, and changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from archive_samples import M31
from command_line import run
from damage import certify, images, lose_regions, path_of, put_dark
from lsst.daf.butler import Butler, Config
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler import dimension_config
from spherex_butler.cli import main
from spherex_butler.ingest import ingest_files
from spherex_butler.paths import config_uri
from spherex_butler.testing import write_calibrations


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """A repository of three images and two darks, of which one file and all regions are lost; and what to put in."""
    folder = tmp_path_factory.mktemp("dry")
    files = copy_exposures(folder / "files")
    with open_repo(copy_repo(folder / "repo")) as butler:
        ingest_files(butler, files[:3], transfer="copy")
        certify(butler, put_dark(butler, 1))
        put_dark(butler, 3)
        path_of(butler, images(butler)[0]).unlink()
        lose_regions(butler)
        rows = [f"{ref.id},1020,1020" for ref in images(butler)[1:]]
        (folder / "found.csv").write_text("\n".join(["dataset_id,x,y", *rows, "none,1020,1020\n"]))
    copy_repo(folder / "target")
    ours = Config({"includeConfigs": [config_uri("repository/butler.yaml")]})
    Butler.makeRepo(str(folder / "bare"), config=ours, dimensionConfig=dimension_config())
    write_calibrations(folder / "calibrations", detectors=[4], shape=(8, 8))
    return folder


@pytest.fixture
def repo(pristine, tmp_path, monkeypatch) -> Path:
    """Return a copy, whose folder is the current one."""
    shutil.copytree(pristine, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy" / "repo"


# In the folder of the fixture: the words, the exit statuses of the dry run and of the other, and what the dry run says.
LINES = {
    "certify": (("certify", "repo", "dark", "--detector", "3"), 0, 0, "Nothing was changed."),
    "create": (("create", "new"), 0, 0, "Would make "),
    "cutouts": (
        ("cutouts", "repo", "found.csv", "new", "--size", "4"),
        1,
        1,
        "Dry run, nothing changed: 2 cutouts of 2 images fetched (this machine), 0 already there, 1 failed",
    ),
    "decertify": (("decertify", "repo", "dark"), 0, 0, "Nothing was changed."),
    "export to": (("export", "repo", "target"), 0, 1, "Dry run, nothing changed: 3 images exported"),
    "ingest": (("ingest", "repo", "files"), 1, 1, "3 to ingest, 2 already there, 1 would fail; nothing was changed"),
    "ingest-archive": (("ingest-archive", "repo", M31), 0, 0, "6 images in 4 runs, 0 rows failed"),
    "ingest-calibrations": (
        ("ingest-calibrations", "repo", "calibrations"),
        0,
        0,
        "Dry run, nothing changed: ",
    ),
    "register": (("register", "bare"), 0, 0, "added"),
    "simulate": (("simulate", "new", "--size", "8"), 0, 0, "none was written"),
    "verify --fix": (("verify", "repo", "--fix", "--from", "files"), 1, 1, "would be brought back from "),
}

READING = {
    "calibrations",
    "config-path",
    "exec",
    "explain",
    "list",
    "obscore-export",
    "search",
    "serve",
    "show",
    "summary",
    "report",
    "spectrum",
}
"""Commands that change nothing, but for the files that they write."""


def test_every_command_that_changes_something_has_a_dry_run():
    commands = {name: main.get_command(None, name) for name in main.list_commands(None)}
    dry = {name for name, command in commands.items() if "dry_run" in {option.name for option in command.params}}
    assert set(commands) - dry == READING
    assert {name.partition(" ")[0] for name in LINES} == dry


def state(folder: Path) -> dict[str, object]:
    """Return names, times and contents of all files; of databases the rows."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "gen3.sqlite3":
            with closing(sqlite3.connect(path)) as database:
                found[str(path)] = list(database.iterdump())
        elif path.is_file():
            found[str(path)] = path.stat().st_mtime_ns, path.read_bytes()
        else:
            found[str(path)] = "folder"
    return found


@pytest.mark.parametrize("command", LINES)
def test_dry_run_changes_nothing(repo, command):
    line, code, wet_code, words = LINES[command]
    before = state(repo.parent)
    said = run(*line, "--dry-run", code=code)
    assert state(repo.parent) == before
    assert words in said
    run(*line, code=wet_code)
    assert state(repo.parent) != before, "this has to change something, or the dry run proves nothing"


@pytest.mark.usefixtures("repo")
def test_create_that_would_fail_fails_dry(tmp_path):
    assert "exists already" in run("create", "repo", "-n", code=1)
    Path("file").write_text("x")
    assert "is a file; a repository needs a folder" in run("create", "file", "-n", code=1)
    (tmp_path / "taken.sqlite3").write_text("x")
    assert "exists already" in run("create", "new", "--database", f"sqlite:///{tmp_path}/taken.sqlite3", "-n", code=1)
    assert not Path("new").exists()


@pytest.mark.usefixtures("repo")
def test_calibrations_that_would_be_ingested_are_counted():
    count = len([path for path in Path("calibrations").rglob("*") if path.is_file()])
    line = ("ingest-calibrations", "repo", "calibrations")
    assert f"Dry run, nothing changed: {count} ingested, 0 already there, 0 failed" in run(*line, "-n")
    run(*line)
    assert f"Dry run, nothing changed: 0 ingested, {count} already there" in run(*line, "-n")

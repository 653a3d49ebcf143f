"""The command line: what each command prints, and its exit status."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from command_line import run
from lsst.daf.butler import Butler
from made_once import copy_exposures
from pasted_commands import execute

from spherex_butler import __version__, config_path

COMMANDS = (
    *("calibrations", "certify", "config-path", "create", "cutouts", "decertify", "exec", "explain", "export"),
    *("ingest", "ingest-archive", "ingest-calibrations", "list", "register", "search", "show", "simulate"),
    *("spectrum", "summary", "verify"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_examples(command):
    text = run(command, "--help")
    assert "Usage: spherex" in text
    assert f"butler spherex {command}" in text
    assert len(text.splitlines()) > 6
    assert f"\n  {command} " in run("--help")


def test_the_first_session_of_the_help_ends_in_a_spectrum(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line.strip() for line in run("--help").splitlines() if line.startswith("    butler spherex ")]
    printed = [execute(line) for line in lines]
    assert "143.3 MB" in printed[0]
    assert "2 images of D3" in printed[-2]
    assert re.search(r"2 measurements, .* signal to noise [1-9]\d\d", printed[-1])


def test_version_is_printed_and_unknown_commands_are_refused():
    assert __version__ in run("--version")
    assert "No such command 'teleport'" in run("teleport", code=2)


def test_entry_points_run_the_same_group(run_clean):
    butler = str(Path(sys.executable).with_name("butler"))
    assert config_path() in run_clean(butler, "spherex", "config-path")
    assert run_clean(sys.executable, "-m", "spherex_butler", "config-path").strip() == config_path()
    assert "No such command" in run_clean(sys.executable, "-m", "spherex_butler", "teleport", code=2)


def test_create_then_ingest(tmp_path):
    repo, archive = tmp_path / "repo", tmp_path / "archive"
    copy_exposures(archive)
    assert f"butler spherex ingest {repo}" in run("create", repo)
    assert "Error: " in run("create", repo, code=1)
    assert run("ingest", repo, archive, "-t", "copy", "-j", "2").strip() == "6 ingested, 0 already there, 0 failed"
    with Butler.from_config(repo) as butler:
        assert len(butler.query_datasets("level2", collections="SPHEREx/defaults")) == 6


def test_a_repository_that_is_not_there_is_an_error_not_a_traceback(tmp_path):
    text = run("ingest", tmp_path / "nothing", tmp_path, code=1)
    assert text.startswith("Error: ")
    assert f"{tmp_path}/nothing" in text

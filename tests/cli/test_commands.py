"""The command line: what each command prints, and its exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler

from spherex_butler import __version__, config_path
from spherex_butler.cli import main
from spherex_butler.testing import write_exposures


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_exposures(folder, exposures=1, size=32)
    return folder


@pytest.mark.parametrize("command", ["config-path", "create", "ingest", "simulate", "verify"])
def test_help_teaches(command):
    text = run(command, "--help")
    assert "Usage: spherex" in text
    assert len(text.splitlines()) > 6


def test_group_lists_every_command():
    text = run("--help")
    for command in ("config-path", "create", "ingest", "simulate", "verify"):
        assert f"\n  {command}" in text


def test_unknown_command_is_refused():
    assert "No such command 'teleport'" in run("teleport", code=2)


def test_version_is_printed():
    assert __version__ in run("--version")


def test_config_path_is_printed():
    assert run("config-path").strip() == config_path()


def test_create_then_ingest(archive, tmp_path):
    repo = tmp_path / "repo"
    assert f"butler spherex ingest {repo}" in run("create", repo)
    assert run("ingest", repo, archive, "-t", "copy", "-j", "2").strip() == "6 ingested, 0 already there, 0 failed"
    with Butler.from_config(repo) as butler:
        assert len(butler.query_datasets("level2", collections="SPHEREx/defaults")) == 6
    assert run("ingest", repo, archive, "--progress").endswith("0 ingested, 6 already there, 0 failed\n")


def test_failed_file_sets_the_exit_status(archive, tmp_path):
    repo, bad = tmp_path / "repo", tmp_path / "image.fits"
    bad.write_text("nothing")
    run("create", repo)
    text = run("ingest", repo, archive, bad, code=1)
    assert "'image.fits' is not the name of a SPHEREx product" in text
    assert "6 ingested, 0 already there, 1 failed" in text


def test_create_refuses_a_folder_with_a_repository(tmp_path):
    run("create", tmp_path / "repo")
    assert "Error: " in run("create", tmp_path / "repo", code=1)


def test_ingest_without_repository_is_an_error_not_a_traceback(tmp_path, archive):
    text = run("ingest", tmp_path / "nothing", archive, code=1)
    assert text.startswith("Error: ")
    assert f"{tmp_path}/nothing" in text


def test_verify_says_what_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", f"{config_path()}:{tmp_path}/missing")
    text = run("verify", "--config", code=1)
    assert config_path() in text
    assert "warning: " in text
    assert f"{tmp_path}/missing" in text


def test_verify_is_silent_about_a_good_configuration(monkeypatch):
    monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", config_path())
    assert "warning" not in run("verify", "--config")


def test_verify_wants_to_know_what():
    assert "Nothing to verify; give --config" in run("verify", code=2)


def test_butler_command_has_the_group(run_clean):
    butler = str(Path(sys.executable).with_name("butler"))
    assert config_path() in run_clean(butler, "spherex", "config-path")


def test_module_runs_the_same_group(run_clean):
    assert run_clean(sys.executable, "-m", "spherex_butler", "config-path").strip() == config_path()

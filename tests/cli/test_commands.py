"""The command line: what each command prints, and its exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler, DatasetProvenance, DatasetType

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


@pytest.mark.parametrize("command", ["config-path", "create", "ingest", "show", "simulate", "verify"])
def test_help_teaches(command):
    text = run(command, "--help")
    assert "Usage: spherex" in text
    assert len(text.splitlines()) > 6


def test_group_lists_every_command():
    text = run("--help")
    for command in ("config-path", "create", "ingest", "show", "simulate", "verify"):
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


@pytest.fixture
def repo_with_product(archive, tmp_path):
    """A repository with ingested images and one made from another by Butler."""
    repo = tmp_path / "repo"
    run("create", repo)
    run("ingest", repo, archive)
    with Butler.from_config(repo, writeable=True, run="u/test", instrument="SPHEREx") as butler:
        (ref,) = butler.query_datasets("level2", collections="SPHEREx/defaults", detector=3)
        butler.registry.registerDatasetType(DatasetType("starlight", ref.dimensions, "SpectralImage"))
        provenance = DatasetProvenance(inputs=[ref.to_simple()])
        put = butler.put(butler.get(ref).subtract_zodi(), "starlight", ref.dataId, provenance=provenance)
    return repo, ref, put


def test_show_tells_a_products_provenance(repo_with_product):
    repo, source, product = repo_with_product
    text = run("show", repo, "starlight", "exposure=20255110106842", "detector=3", "--collections", "u/test")
    assert "dataset     starlight (SpectralImage)" in text
    assert "data ID     instrument=SPHEREx, detector=3, exposure=20255110106842" in text
    assert f"ID                          {product.id}" in text
    assert f"INPUT 0 ID                  {source.id}" in text
    assert run("show", repo, product.id) == text


def test_show_says_that_an_ingested_file_has_no_provenance(repo_with_product):
    repo, source, _ = repo_with_product
    text = run("show", repo, "level2", "exposure=20255110106842", "detector=3")
    assert f"id          {source.id}" in text
    assert "none: the file was not written by Butler" in text


def test_show_refuses_what_is_not_there(repo_with_product):
    repo, _, _ = repo_with_product
    text = run("show", repo, "level2", "exposure=20255110106843", "detector=3", code=1)
    assert "There is no dataset 'level2 exposure=20255110106843 detector=3' in SPHEREx/defaults" in text
    assert "is not of the form DIMENSION=VALUE" in run("show", repo, "level2", "detector", code=2)

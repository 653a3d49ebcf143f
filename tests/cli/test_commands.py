"""The command line: what each command prints, and its exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import run
from lsst.daf.butler import Butler, DatasetProvenance, DatasetType
from made_once import copy_exposures, copy_repo

from spherex_butler import __version__, config_path

COMMANDS = (
    *("calibrations", "certify", "config-path", "create", "decertify", "explain", "export"),
    *("ingest", "ingest-archive", "ingest-calibrations", "show", "simulate", "verify"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_examples(command):
    text = run(command, "--help")
    assert "Usage: spherex" in text
    assert f"butler spherex {command}" in text
    assert len(text.splitlines()) > 6
    assert f"\n  {command} " in run("--help")


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


@pytest.fixture
def repo_with_product(tmp_path):
    """A repository with ingested images and one made from another by Butler."""
    repo = copy_repo(tmp_path / "repo")
    run("ingest", repo, *copy_exposures(tmp_path / "archive"))
    with Butler.from_config(repo, writeable=True, run="u/test", instrument="SPHEREx") as butler:
        (ref,) = butler.query_datasets("level2", collections="SPHEREx/defaults", detector=3)
        butler.registry.registerDatasetType(DatasetType("starlight", ref.dimensions, "SpectralImage"))
        provenance = DatasetProvenance(inputs=[ref.to_simple()])
        put = butler.put(butler.get(ref).subtract_zodi(), "starlight", ref.dataId, provenance=provenance)
    return repo, ref, put


def test_show_tells_the_provenance_of_a_dataset_and_refuses_what_is_not_there(repo_with_product):
    repo, source, product = repo_with_product
    image = ("exposure=20255110106842", "detector=3")
    text = run("show", repo, "starlight", *image, "--collections", "u/test")
    assert "dataset     starlight (SpectralImage)" in text
    assert "data ID     instrument=SPHEREx, detector=3, exposure=20255110106842" in text
    assert f"ID                          {product.id}" in text
    assert f"INPUT 0 ID                  {source.id}" in text
    assert run("show", repo, product.id) == text
    text = run("show", repo, "level2", *image)
    assert f"id          {source.id}" in text
    assert "none: the file was not written by Butler" in text
    text = run("show", repo, "level2", "exposure=20255110106843", "detector=3", code=1)
    assert "There is no dataset 'level2 exposure=20255110106843 detector=3' in SPHEREx/defaults" in text


def test_show_of_a_dataset_that_is_no_fits_file_says_where_provenance_is(tmp_path):
    with Butler.from_config(copy_repo(tmp_path / "repo"), writeable=True, run="u/test") as butler:
        gains = butler.put({"D1": [1.0]}, "gain_factors", instrument="SPHEREx")
    text = run("show", tmp_path / "repo", gains.id, code=1)
    assert ".yaml' is no FITS file; provenance is read from FITS headers only." in text

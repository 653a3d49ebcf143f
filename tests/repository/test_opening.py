"""Repositories opened: what is refused, by Python as by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsst.resources import ResourcePath
from made_once import copy_repo
from privileges import OBEY_PERMISSIONS, make_writeable

from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.repository.opening import open_butler


@pytest.mark.parametrize("form", [str, Path, ResourcePath, Path.as_uri, lambda path: path / "butler.yaml"])
def test_repository_is_opened_however_it_is_named(empty_repo, form):
    with open_butler(form(empty_repo)) as butler:
        assert not butler.isWriteable()
    with open_butler(form(empty_repo), writeable=True, collections="SPHEREx/defaults", instrument="SPHEREx") as butler:
        assert butler.isWriteable()
        assert butler.collections.defaults == ("SPHEREx/defaults",)


def test_repository_is_opened_by_its_label(empty_repo, monkeypatch, tmp_path):
    (tmp_path / "index.yaml").write_text(f"mission: {empty_repo}\n")
    monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(tmp_path / "index.yaml"))
    open_butler("mission").close()


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b", "$HOME", "${HOME}"])
def test_path_that_butler_reads_otherwise_is_refused_in_all_forms(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for root in (name, Path(name), tmp_path / name, (tmp_path / name).as_uri(), f"{name}/repo"):
        with pytest.raises(ParameterError, match=r"in which Butler reads .* as something else than itself"):
            open_butler(root)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(ParameterError, match="in which Butler reads"):
        open_butler("repo")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a b", "a%b", "100%", "a$", "ünï", "a;b", "survey.v2"])
def test_path_that_butler_reads_as_it_is_is_taken(tmp_path, name):
    open_butler(copy_repo(tmp_path / name)).close()


ON_READ_ONLY = (
    OBEY_PERMISSIONS
    + """
from pathlib import Path
from lsst.daf.butler import Butler
from spherex_butler.errors import ConfigurationError
from spherex_butler.repository.opened import check_opened
from spherex_butler.repository.opening import open_butler
repo, *denied = map(Path, sys.argv[1:])
with Butler.from_config(repo, writeable=True) as butler:  # by another's code, before the permissions changed
    for path in denied:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for attempt in (lambda: check_opened(butler), lambda: open_butler(repo, writeable=True)):
        try:
            attempt()
        except ConfigurationError as error:
            print(error)
open_butler(repo).close()
"""
)


@pytest.mark.parametrize("denied", [["gen3.sqlite3"], ["."], ["files"], [".", "gen3.sqlite3", "files"]])
def test_repository_that_may_not_be_written_to_is_refused_first(tmp_path, run_forked, denied):
    repo = copy_repo(tmp_path / "repo", datastore_root="<butlerRoot>/files")
    (repo / "files").mkdir()
    said = run_forked(ON_READ_ONLY, repo, *(repo / name for name in denied)).splitlines()
    make_writeable(repo)
    assert len(said) == 2
    assert said[0].startswith("The repository is read-only for this user: ")
    assert all("read-only for this user" in line for line in said)
    assert all("Expected write permission for" in line for line in said)


def test_folder_that_is_no_repository_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"There is no repository at .*'butler spherex create .*' makes one"):
        open_butler(tmp_path)

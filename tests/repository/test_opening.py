"""Repositories opened: what is refused, by Python as by the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import pytest
import requests
from http_server import serve
from lsst.daf.butler import Butler
from lsst.resources import ResourcePath
from made_once import copy_repo
from privileges import OBEY_PERMISSIONS, make_writeable

import spherex_butler
from spherex_butler.calibrations import ingest_calibrations
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.repository.opening import open_butler, open_repo
from spherex_butler.testing import write_calibration, write_level2


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


def test_address_without_a_repository_is_not_one_to_make_it_at(tmp_path):
    with serve(tmp_path) as server, pytest.raises(ConfigurationError, match="There is no repository at") as caught:
        open_butler(server.url)
    assert "https://HOST/api/butler/repo/NAME" in str(caught.value)
    assert "create" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- a\n- b\n", "'{}' is a list; it has to hold keys with values"),
        (b"3\n", "'{}' is a single value; it has to hold keys with values"),
        (b"\x00\xff\x89PNG", "'{}' is no text; it has to hold keys with values"),
        (b"includeConfigs: butler.yaml\n", "'{}' includes itself, or a file that includes it"),
        (b"datastore: 3\n", "a value in '{}', or in a file it includes, is of another kind than Butler expects: "),
    ],
)
@pytest.mark.parametrize("by", ["folder", "file"])
def test_damaged_configuration_is_named_with_what_is_wrong(empty_repo, content, reason, by):
    path = empty_repo / "butler.yaml"
    path.write_bytes(content)
    root = empty_repo if by == "folder" else path
    with pytest.raises(ConfigurationError) as info:
        open_butler(root)
    assert str(info.value).startswith(f"The repository {str(root)!r} cannot be opened: {reason.format(path)}")


def test_empty_configuration_is_told_to_lack_ours(empty_repo):
    (empty_repo / "butler.yaml").write_text("")
    with pytest.raises(ConfigurationError, match=r"lacks the storage classes or formatters of .*includeConfigs"):
        open_repo(empty_repo)


@pytest.mark.parametrize("root", [None, 3, ["repo"]])
def test_what_is_no_path_is_refused(root):
    for call in (open_repo, spherex_butler.make_repo):
        with pytest.raises(ParameterError, match=re.escape(f"is {root!r}; expected a path or a URI.")):
            call(root)


def test_repository_has_collections_and_instrument_as_defaults(empty_repo):
    with open_repo(empty_repo) as butler:
        assert not butler.isWriteable()
        assert tuple(butler.collections.defaults) == ("SPHEREx/defaults",)
        assert dict(butler.registry.defaults.dataId.required) == {"instrument": "SPHEREx"}
        assert butler.find_dataset("level2", exposure=20255110106842, detector=3) is None
    with open_repo(empty_repo, writeable=True, run="u/me") as butler:
        assert butler.isWriteable()
        assert (butler.run, tuple(butler.collections.defaults)) == ("u/me", ("u/me", "SPHEREx/defaults"))
    with open_repo(empty_repo, collections=["SPHEREx/calib"]) as butler:
        assert tuple(butler.collections.defaults) == ("SPHEREx/calib",)


def test_calibration_is_found_by_exposure_and_detector_alone(tmp_path):
    root = copy_repo(tmp_path / "repo")
    write_level2(tmp_path / "images", size=16, detector=3)
    write_calibration(tmp_path / "calibrations", "dark", "cal-drk-v4-2025-161", detector=3)
    with open_repo(root, writeable=True) as butler:
        assert len(ingest_files(butler, tmp_path / "images").ingested) == 1
        assert ingest_calibrations(butler, tmp_path / "calibrations").summary.endswith("1 certified")
    with open_repo(root) as butler:
        image = {"exposure": 20255110106842, "detector": 3}
        assert butler.get("dark", **image).meta["DETECTOR"] == butler.get("level2", **image).detector == 3


def test_run_is_refused_for_a_reader(empty_repo):
    with pytest.raises(ParameterError, match=r"run='u/me' is for writing, .* pass writeable=True"):
        open_repo(empty_repo, run="u/me")


def test_repository_without_spherex_is_refused(tmp_path):
    Butler.makeRepo(tmp_path / "rubin")
    with pytest.raises(ConfigurationError, match="expected the SPHEREx universe"):
        open_repo(tmp_path / "rubin")
    with spherex_butler.install():
        Butler.makeRepo(tmp_path / "bare", dimensionConfig=spherex_butler.dimension_config())
    with pytest.raises(ConfigurationError, match="'butler spherex register REPO'"):
        open_repo(tmp_path / "bare")
    with pytest.raises(ConfigurationError, match="There is no repository at"):
        open_repo(tmp_path / "nowhere")


def test_new_repository_has_the_same_defaults(tmp_path):
    with spherex_butler.make_repo(tmp_path / "new") as made, open_repo(tmp_path / "new") as opened:
        assert repr(made.registry.defaults) == repr(opened.registry.defaults)
        assert made.isWriteable()


def test_server_that_does_not_answer_is_told(monkeypatch):
    def unanswered(*_: object, **__: object) -> NoReturn:
        raise requests.ConnectionError("HTTPConnectionPool(host='127.0.0.1', port=9): Max retries exceeded")

    monkeypatch.setattr(requests.Session, "send", unanswered)
    with pytest.raises(
        ConfigurationError, match=r"the server 127.0.0.1 cannot be reached\. Expected a server that runs"
    ):
        open_repo("http://127.0.0.1:9/api/butler/repo/sky")

"""Ingest: which files paths stand for, however they are written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from lsst.resources import ResourcePath

from spherex_butler.errors import ParameterError
from spherex_butler.files.paths import PathList
from spherex_butler.ingest import ingest_files, plan_files


@pytest.fixture
def path(level2_paths, tmp_path) -> Path:
    return Path(shutil.copy(level2_paths["qr2"], tmp_path))


@pytest.mark.parametrize("name", ["a b", "50%", "%41", "a#b", "a?b", "é", "[x]", "*", "a;b"])
@pytest.mark.parametrize("transfer", ["copy", "symlink", "direct"])
def test_folder_may_have_any_name(butler, path, name, transfer):
    folder = path.parent / name
    folder.mkdir()
    moved = path.rename(folder / path.name)
    for given in (folder, str(folder), moved, str(moved), ResourcePath(moved.as_uri())):
        planned, failed = plan_files(given)
        assert ([file.uri for file in planned], failed) == ([moved.as_uri()], [])
    (ref,) = ingest_files(butler, folder, transfer=transfer).ingested
    assert butler.get(ref).shape == (48, 48)


def test_path_with_dots_is_made_plain(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    planned, _ = plan_files(f"../{path.parent.name}/{path.name}")
    assert [file.uri for file in planned] == [path.resolve().as_uri()]


def test_same_file_by_two_paths_goes_in_once(butler, path):
    link = path.parent / "link"
    link.symlink_to(path.parent)
    report = ingest_files(butler, [path, link / path.name])
    assert (len(report.ingested), len(report.skipped), report.failed) == (1, 1, [])


def test_move_of_a_link_keeps_the_file_it_points_to(butler, path):
    link = path.parent / "links" / path.name
    link.parent.mkdir()
    link.symlink_to(f"../{path.name}")
    (ref,) = ingest_files(butler, link, transfer="move").ingested
    assert (path.exists(), link.is_symlink()) == (True, False)
    assert butler.get(ref).shape == (48, 48)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "there is no level2_*.fits in this folder"),
        ("*.fits", "nothing in this folder matches the pattern '*.fits'"),
        ("nothing", "there is no such file or folder"),
        (
            "gopher://host/level2.fits",
            "gopher://host/level2.fits; expected a path or an http, https or s3 URL.",
        ),
    ],
)
def test_path_that_stands_for_nothing_is_reported(tmp_path, name, reason):
    planned, (failure,) = plan_files(name if "://" in name else tmp_path / name)
    assert planned == []
    assert reason in failure.reason
    assert "://" in failure.uri


def names(*paths: object) -> list[str]:
    """Return the names of the files that paths stand for, all of which can be read."""
    planned, failed = plan_files(paths)
    assert failed == []
    return [Path(file.uri).name for file in planned]


def test_folder_that_cannot_be_read_is_reported(path, monkeypatch):
    closed = path.parent / "closed"
    closed.mkdir()
    scandir = os.scandir

    def refuse(folder):
        if str(folder) == str(closed):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # permissions do not stop root
    planned, (failure,) = plan_files(path.parent)
    assert [file.uri for file in planned] == [path.as_uri()]
    assert failure.uri == closed.as_uri()
    assert failure.reason.startswith("PermissionError: [Errno 13] Permission denied")


def test_folder_behind_a_link_is_searched_once(path):
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    path.rename(elsewhere / path.name)
    folder = path.parent / "folder"
    folder.mkdir()
    for name in ("one", "other"):
        (folder / name).symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    assert names(folder) == [path.name]


def test_dangling_link_is_reported(path):
    link = path.with_name(path.name.replace("D3", "D4"))
    link.symlink_to("nothing")
    for given in (path.parent, link):
        _, (failure,) = plan_files(given)
        assert failure.uri == link.as_uri()
        assert "FileNotFoundError" in failure.reason


@pytest.mark.parametrize("pattern", ["*/*.fits", "**/*.fits", "*", "**", "[ab]*/level2_*", "**/a", "a/**/b/*", "?/b"])
def test_glob_finds_files_and_folders(path, monkeypatch, pattern):
    folder = path.parent / "a" / "b" if "b" in pattern and "[" not in pattern else path.parent / "a"
    folder.mkdir(parents=True)
    path.rename(folder / path.name)
    monkeypatch.chdir(path.parent)
    assert names(pattern) == [path.name]


def test_glob_passes_over_what_is_hidden(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    hidden = path.parent / ".hidden"
    hidden.mkdir()
    path.rename(hidden / path.name)
    _, (failure,) = plan_files("**/*.fits")
    assert "nothing in this folder matches the pattern '**/*.fits'" in failure.reason
    assert names(".h*/*.fits") == [path.name]


def test_list_of_paths(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    second = Path(shutil.copy(path, path.with_name(path.name.replace("354", "355"))))
    (tmp_path / "list.txt").write_text(f"# two files\n\n  {path.name}\n{second.as_uri()}\n   # and no more\n")
    listed = PathList(tmp_path / "list.txt")
    assert list(listed) == [path.name, second.as_uri()]
    assert names(*listed) == [path.name, second.name]
    assert list(PathList(tmp_path / "list.txt", before=["first"])) == ["first", path.name, second.as_uri()]


def test_paths_may_be_any_iterable(butler, path):
    assert len(ingest_files(butler, (each for each in [path])).ingested) == 1


def test_empty_path_is_refused():
    with pytest.raises(
        ParameterError, match=r"A path is empty; expected a file, a folder \('\.' for the current one\)"
    ):
        plan_files([""])


def test_url_without_the_extra_says_what_to_install(run_python):
    script = """
import sys
sys.modules["requests"] = None
from spherex_butler.ingest import plan_files
print(plan_files("https://host/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits")[1][0].reason)
"""
    assert run_python(script).strip().endswith("pip install 'spherex-butler[https]'.")

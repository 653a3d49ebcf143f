"""Placing files: whole or not at all, over nothing that is there, on file systems of any kind."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from pathlib import Path

import pytest
from lsst.resources import ResourcePath

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.files.placement import place, publish

LEFTOVER = f".{'0123456789abcdef' * 2}.part"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "level2.fits"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 1000)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "repo" / "level2" / "level2.fits"


def put(source: Path, target: Path, mode: str) -> None:
    place(ResourcePath(source), ResourcePath(target), mode)


def without_hard_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let links fail as on a file system that has none."""

    def refuse(first, second, **_):
        raise OSError(number, os.strerror(number), str(first), None, str(second))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
@pytest.mark.parametrize("mode", ["copy", "move", "link"])
def test_file_system_without_hard_links(source, target, monkeypatch, mode, number):
    without_hard_links(monkeypatch, number)
    put(source, target, mode)
    assert target.read_bytes() == source.read_bytes()
    assert target.is_symlink() == (mode == "link")
    assert list(target.parent.iterdir()) == [target]


def test_without_hard_links_nothing_is_overwritten(source, target, monkeypatch):
    without_hard_links(monkeypatch, errno.EPERM)
    copy = shutil.copy

    def copy_slowly(first, second):
        copy(first, second)
        target.write_text("of another process, faster")

    monkeypatch.setattr(shutil, "copy", copy_slowly)
    with pytest.raises(FormatError, match="is there already with other content; nothing was overwritten"):
        put(source, target, "copy")
    assert target.read_text() == "of another process, faster"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("mode", ["hardlink", "link", "move"])
def test_link_that_fails_for_another_reason_is_an_error(source, target, monkeypatch, mode):
    without_hard_links(monkeypatch, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left on device"):
        put(source, target, mode)


def test_copy_that_fails_leaves_nothing(source, target, monkeypatch):
    def fail(_, second):
        Path(second).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy", fail)
    with pytest.raises(OSError, match="No space left on device"):
        put(source, target, "copy")
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("mode", ["copy", "move", "link", "hardlink", "symlink", "relsymlink"])
def test_same_content_counts_as_placed(source, target, mode):
    target.parent.mkdir(parents=True)
    shutil.copy(source, target)
    before = target.stat()
    put(source, target, mode)
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("mode", ["copy", "move", "link", "hardlink", "symlink", "relsymlink"])
def test_other_content_of_the_same_size_is_refused(source, target, mode):
    target.parent.mkdir(parents=True)
    content = bytearray(source.read_bytes())
    content[100_000] ^= 1
    target.write_bytes(content)
    with pytest.raises(FormatError, match=r"level2\.fits' is there already with other content"):
        put(source, target, mode)
    assert target.read_bytes() == content


@pytest.mark.parametrize(("under_way", "left"), [(True, [LEFTOVER, "kept.part"]), (False, ["kept.part"])])
def test_what_a_killed_copy_left_is_removed_and_a_copy_under_way_is_not(source, target, under_way, left):
    target.parent.mkdir(parents=True)
    (target.parent / "kept.part").write_text("of somebody else")
    with (target.parent / LEFTOVER).open("w") as writing:
        if under_way:
            fcntl.flock(writing, fcntl.LOCK_EX)
        put(source, target, "copy")
    assert sorted(path.name for path in target.parent.iterdir()) == [*left, "level2.fits"]


@pytest.mark.parametrize(("days", "left"), [(0, [LEFTOVER, "level2.fits"]), (2, ["level2.fits"])])
def test_without_locks_age_tells_what_was_left(source, target, monkeypatch, days, left):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    target.parent.mkdir(parents=True)
    (target.parent / LEFTOVER).write_text("half")
    then = time.time() - days * 86400
    os.utime(target.parent / LEFTOVER, (then, then))
    put(source, target, "copy")
    assert sorted(path.name for path in target.parent.iterdir()) == left


def test_temporary_file_taken_for_a_leftover_is_made_anew(source, target, monkeypatch):
    flock, taken = fcntl.flock, []

    def take_first(descriptor, how):
        flock(descriptor, how)
        if not taken:
            (path,) = target.parent.iterdir()
            taken.append(path)
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", take_first)
    put(source, target, "copy")
    assert len(taken) == 1
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == source.read_bytes()


def test_what_is_no_file_is_not_replaced(tmp_path):
    pipe, new = tmp_path / "pipe", tmp_path / "new"
    os.mkfifo(pipe)
    new.write_text("new")
    with pytest.raises(ParameterError, match="is a device or a pipe; expected a file, or one that is not there yet"):
        publish(new, pipe, replace=True)
    assert pipe.is_fifo()
    assert new.read_text() == "new"

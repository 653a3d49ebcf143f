"""Temporary names: which files a killed copy left."""

from __future__ import annotations

import errno
import fcntl
import os

from spherex_butler.files.temporary import is_stale

PART = f".{'0' * 31}a.part"


def test_part_that_is_being_written_is_not_stale(tmp_path):
    part = tmp_path / PART
    with part.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert not is_stale(part, age=-1)
    assert is_stale(part, age=-1)
    assert not is_stale(part)


def test_age_decides_where_there_are_no_locks(tmp_path, monkeypatch):
    part = tmp_path / PART
    part.write_text("half")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert (is_stale(part), is_stale(part, age=-1)) == (False, True)


def test_what_is_no_file_or_has_another_name_is_no_part(tmp_path):
    (tmp_path / ".mine.part").write_text("")
    assert not is_stale(tmp_path / ".mine.part", age=-1)
    os.mkfifo(tmp_path / PART)
    assert not is_stale(tmp_path / PART, age=-1)  # without waiting for a writer

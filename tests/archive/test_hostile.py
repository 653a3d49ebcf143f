"""Small tables that would take all time or memory end in an error that says why."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from archive_samples import M31, csv_of, planned_of, read, sia_table

from spherex_butler.archive.tables import count_rows, read_archive_table
from spherex_butler.errors import FormatError

HEADER = M31.read_bytes().partition(b"\n")[0] + b"\n"
MIB = b"a" * (1 << 20)


@pytest.fixture
def peak():
    """Return a function that returns the most memory taken until now, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def endless(path, start):
    """Write a file that goes on for 60 MiB without a line break."""
    with path.open("wb") as stream:
        stream.write(start)
        stream.writelines([MIB] * 60)


def zipped(path, start, block, times):
    """Write a gzipped file of many equal blocks, which takes no time."""
    path.write_bytes(gzip.compress(start) + gzip.compress(block) * times)
    return path


def test_line_without_end_is_told_before_it_fills_the_memory(tmp_path, peak):
    path = tmp_path / "endless.csv"
    endless(path, M31.read_bytes())
    planned, failed = read(path)
    assert planned == planned_of(M31)
    assert "has 1,048,576 characters or more, so that rows are missing" in failed[-1].reason
    assert peak() < 30_000_000


@pytest.mark.parametrize("start", [b"obs_id,", b"# %ECSV 1.0\n# "])
def test_header_without_end_is_refused(start, tmp_path, peak):
    path = tmp_path / "endless.csv"
    endless(path, start)
    with pytest.raises(FormatError, match="characters or more"):
        list(read_archive_table(path))
    assert peak() < 30_000_000


def test_line_without_end_in_a_gzipped_table_is_not_unzipped(tmp_path, peak):
    _, (failed,) = read(zipped(tmp_path / "bomb.csv.gz", HEADER, MIB, 1000))
    assert "characters or more" in failed.reason
    assert peak() < 30_000_000


def test_gzipped_table_that_holds_far_more_than_its_size_lets_expect_is_refused(tmp_path):
    path = zipped(tmp_path / "bomb.csv.gz", HEADER, b"\n" * (1 << 20), 300)
    with pytest.raises(FormatError, match=r"bytes, but unzipped more than 268,435,456; expected a table that gzip"):
        count_rows(path)


def test_table_of_equal_rows_that_gzip_makes_far_smaller_is_read(tmp_path):
    csv_of(sia_table(), tmp_path / "table.csv")
    header, _, rows = (tmp_path / "table.csv").read_bytes().partition(b"\n")
    path = zipped(tmp_path / "table.csv.gz", header + b"\n", rows * 2, 3)
    assert len(planned_of(path)) == 36


def test_votable_that_declares_entities_is_refused(tmp_path):
    path = tmp_path / "laughs.xml"
    path.write_text('<?xml version="1.0"?><!DOCTYPE VOTABLE [<!ENTITY a "ha">]><VOTABLE>&a;</VOTABLE>')
    with pytest.raises(FormatError, match=r"has a document type declaration .* expected none\. Remove it"):
        list(read_archive_table(path))

"""Tables one after the other, in batches."""

from __future__ import annotations

import itertools
import shutil

import pytest
from archive_samples import IRIS, M31, planned_of, sia_table

from spherex_butler.archive.tables import count_rows, read_archive_table
from spherex_butler.errors import ParameterError


def test_tables_one_after_the_other():
    assert planned_of(iter([sia_table(M31), sia_table(IRIS)])) == planned_of(M31) + planned_of(IRIS)


def test_what_is_no_table_among_tables_is_refused():
    with pytest.raises(ParameterError, match=r"'rows.csv' is a str; expected an astropy Table, or one path alone\."):
        list(read_archive_table(["rows.csv"]))


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(FileNotFoundError):
        list(read_archive_table("no-such-table.csv"))


def test_rows_come_in_batches_in_their_order():
    batches = list(read_archive_table(M31, batch_size=4))
    assert [len(batch) for batch in batches] == [4, 2]
    assert [file for batch in batches for file in batch.planned] == planned_of(M31)
    with pytest.raises(ParameterError, match=r"batch_size=0 is not possible; expected a whole number of at least 1\."):
        read_archive_table(M31, batch_size=0)


def test_a_table_without_rows_has_no_images(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text(M31.read_text().partition("\n")[0] + "\n")
    assert list(read_archive_table(path)) == []
    assert list(read_archive_table(sia_table()[:0])) == []


def test_rows_of_tables_are_counted_unless_they_are_yet_to_come():
    assert count_rows(M31) == 6
    assert count_rows(sia_table()) == 6
    assert count_rows([sia_table(), sia_table(IRIS)]) == 8
    assert count_rows(iter([sia_table()])) is None


def test_files_are_closed_when_reading_ends_early(tmp_path):
    path = tmp_path / "table.csv"
    shutil.copy(M31, path)
    batches = read_archive_table(path, batch_size=1)
    assert len(list(itertools.islice(batches, 2))) == 2
    del batches  # an unclosed file would be a warning, which is an error here

"""Every format gives the same images, in bounded memory; and what is no table is refused."""

from __future__ import annotations

import gc
import gzip
import os
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_samples import M31, caom_table, csv_of, planned_of, read, sia_table, write_votable
from astropy.table import MaskedColumn, QTable, vstack

from spherex_butler.archive.readers import open_table
from spherex_butler.archive.tables import count_rows, read_archive_table
from spherex_butler.errors import FormatError

WRITERS = {
    "tabledata.vot": write_votable,
    "binary.xml": lambda table, path: write_votable(table, path, "binary"),
    "binary2.votable": lambda table, path: write_votable(table, path, "binary2"),
    "quoted.csv": csv_of,
    "table.ecsv": lambda table, path: table.write(path),
    "comma.ecsv": lambda table, path: table.write(path, delimiter=","),
    "table.parquet": lambda table, path: table.write(path),
    "no_extension": write_votable,
    "votable.csv": write_votable,
    "csv.xml": csv_of,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("layout", [sia_table, caom_table])
def test_every_format_gives_the_same_images(name, layout, tmp_path):
    WRITERS[name](layout(), tmp_path / name)
    expected = planned_of(layout())
    assert len(expected) == 6
    assert planned_of(tmp_path / name) == planned_of(str(tmp_path / name)) == expected


@pytest.mark.parametrize("name", ["tabledata.vot", "binary2.votable", "quoted.csv", "table.ecsv"])
def test_text_may_be_compressed(name, tmp_path):
    WRITERS[name](sia_table(), tmp_path / name)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert planned_of(packed) == planned_of(sia_table())


def test_tables_in_memory_may_be_masked_of_quantities_or_of_bytes():
    table = QTable(sia_table())
    table["t_min"].unit = table["t_max"].unit = "d"
    table["access_url"] = np.char.encode(np.array(table["access_url"]))
    table["t_exptime"] = MaskedColumn(table["t_exptime"], mask=[True] * 6)
    planned = planned_of(table)
    assert [file.uri for file in planned] == [file.uri for file in planned_of(M31)]
    assert {file.description.fields["exposure_time"] for file in planned} == {None}


def test_lists_in_parquet_are_regions(tmp_path):
    columns = {name: caom_table()[name].tolist()[:2] for name in caom_table().colnames}
    columns["poly"] = [[6.5, 41.5, 11.0, 43.0, 13.5, 39.5], None]
    pq.write_table(pa.table(columns), tmp_path / "lists.parquet")
    corners = [file.description.corners for file in planned_of(tmp_path / "lists.parquet")]
    assert corners == [((6.5, 41.5), (11.0, 43.0), (13.5, 39.5)), None]


@pytest.mark.parametrize(
    ("name", "expected"), [("quoted.csv", 6), ("table.ecsv", 6), ("table.parquet", 6), ("tabledata.vot", None)]
)
def test_rows_are_counted_beforehand_where_that_is_cheap(name, expected, tmp_path):
    WRITERS[name](sia_table(), tmp_path / name)
    assert count_rows(tmp_path / name) == expected


@pytest.mark.parametrize("name", ["broken.csv", "tabledata.vot", "binary2.votable", "table.ecsv"])
def test_memory_does_not_grow_with_the_file(name, tmp_path):
    peaks = []
    for copies in (50, 250):
        path = tmp_path / f"{copies}-{name}"
        if name == "broken.csv":
            header, *rows = M31.read_text().splitlines(keepends=True)
            path.write_text(header + "".join(rows) * copies)
        else:
            WRITERS[name](vstack([sia_table()] * copies), path)
        tracemalloc.start()
        number = 0
        for batch in read_archive_table(path, batch_size=200):
            number += len(batch)
            gc.collect()  # so that what is garbage already does not count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert number == copies * 6
    assert peaks[1] < peaks[0] + 500_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"begins with b''; expected a table as Parquet, ECSV, VOTable, CSV"),
        (b"<html><body>504 Gateway Time-out</body></html>", "begins with b'<html><body>504 Gateway Time-out"),
        (b"SIMPLE  =                    T", "begins with b'SIMPLE  = "),
        (b"\\fixlen = T\n|uri|poly|\n", "begins with .*fixlen = T.*; expected"),
        (b"|uri   |poly  |\n", r"begins with b'\|uri   \|poly"),
        (b'{"data": []}', r"begins with b'{\"data\": \[\]}'; expected"),
        (b"\x00\x01\x02\x03", r"begins with b'\\x00\\x01\\x02\\x03'; expected"),
        (b"just words", "begins with b'just words'; expected"),
        (gzip.compress(M31.read_bytes(), mtime=0)[:12], r"is compressed, but damaged: .*; expected a whole gzip file"),
    ],
)
def test_what_is_no_table_is_refused_with_what_it_is(content, message, tmp_path):
    path = tmp_path / "answer.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        list(read_archive_table(path))


def test_a_compressed_file_cut_off_gives_what_came_before(tmp_path):
    path = tmp_path / "cut.csv.gz"
    packed = gzip.compress(M31.read_bytes() + M31.read_bytes().partition(b"\n")[2] * 300)
    path.write_bytes(packed[: len(packed) // 2])
    planned, failed = read(path)
    assert len(planned) > 6
    assert "The compressed data are damaged or end too early" in failed[-1].reason


def test_a_damaged_parquet_file_is_said(tmp_path):
    path = tmp_path / "table.parquet"
    sia_table().write(path)
    data = path.read_bytes()
    path.write_bytes(data[:2000] + bytes(2000) + data[4000:])
    planned, (failed,) = read(path)
    assert planned == []
    assert "The Parquet file is damaged here, so rows are missing" in failed.reason
    path.write_bytes(data[:-50])
    with pytest.raises(FormatError, match="is a damaged Parquet file"):
        list(read_archive_table(path))


@pytest.mark.parametrize("distance", [12, 100, 400])
def test_a_parquet_file_with_a_damaged_footer_is_named(tmp_path, distance):
    path = tmp_path / "table.parquet"
    sia_table().write(path)
    data = path.read_bytes()
    path.write_bytes(data[:-distance] + b"\xff" * 8 + data[8 - distance :])
    with pytest.raises(FormatError, match=r"^'.*table\.parquet' is a damaged Parquet file: .*\. Get it again\.$"):
        list(read_archive_table(path))


def test_a_votable_in_an_unknown_encoding_is_named(tmp_path):
    path = tmp_path / "answer.xml"
    path.write_text('<?xml version="1.0" encoding="utf61000"?>\n<VOTABLE version="1.4"></VOTABLE>')
    with pytest.raises(FormatError, match=r"^'.*answer\.xml': The document is damaged .*unknown encoding: utf61000"):
        list(read_archive_table(path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, run_python):
    path = tmp_path / "table.parquet"
    sia_table().write(path)
    script = """
import sys
from spherex_butler.archive.tables import read_archive_table
from spherex_butler.errors import ConfigurationError
sys.modules["pyarrow"] = None
try:
    list(read_archive_table(sys.argv[1]))
except ConfigurationError as error:
    print(error)
"""
    assert "needs pyarrow: pip install 'spherex-butler[archive]'." in run_python(script, path)


def test_table_is_not_read_from_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "table.csv")
    with pytest.raises(FormatError, match=r"is a FIFO; expected a regular file\. Save it as one first"):
        open_table(tmp_path / "table.csv")


def test_parquet_is_not_kept_in_memory(tmp_path):
    path = tmp_path / "large.parquet"
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("text", pa.string())])) as writer:
        for _ in range(100):
            writer.write_table(pa.table({"text": [rng.bytes(100).hex() for _ in range(1000)]}))
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    for _ in open_table(path).rows([0]):
        rows += 1
        if rows % 500 == 0:
            most = max(most, pa.total_allocated_bytes() - before)
    assert rows == 100_000
    assert most < path.stat().st_size / 2

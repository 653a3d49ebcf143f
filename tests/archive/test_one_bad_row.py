"""Whatever one row raises is that row's failure, at every step; the others go in."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_samples import FIRST_NAME, M31, csv_of, read, sia_table
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from one_bad_item import ERRORS, raise_for

from spherex_butler.archive import ingest_archive_table
from spherex_butler.archive import regions as region_texts
from spherex_butler.archive.readers import up_to_damage

TOKEN = re.compile(r"l2b-v\d+-\d{4}-\d{3}")
LONG = f"l2b-v{'9' * 5000}-2025-354"


def parquet_of(path: Path, **columns: list[bytes | str]) -> Path:
    """Write the archive's rows, of which columns of text hold what is given, with UTF-8 or without."""
    table = pa.table({name: sia_table()[name].tolist() for name in ("access_url", "s_region", "t_min", "t_max")})
    for name, values in columns.items():
        texts = pa.array([value if isinstance(value, bytes) else value.encode() for value in values], pa.binary())
        array = pa.StringArray.from_buffers(len(texts), texts.buffers()[1], texts.buffers()[2])
        table = table.set_column(table.column_names.index(name), name, array)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("column", ["access_url", "s_region"])
def test_byte_that_is_no_utf8_spoils_its_row_alone(tmp_path, column):
    values = [str(value).encode() for value in sia_table()[column]]
    values[2] = values[2][:5] + b"\xff" + values[2][5:]
    planned, (failure,) = read(parquet_of(tmp_path / "table.parquet", **{column: values}))
    assert len(planned) == len(values) - 1
    assert "�" in str(failure)


def test_base64_that_is_not_ascii_ends_the_table_with_a_reason(tmp_path):
    path = tmp_path / "answer.xml"
    path.write_text(
        '<VOTABLE><RESOURCE type="results"><TABLE><FIELD name="uri" datatype="char" arraysize="*"/>'
        '<FIELD name="poly" datatype="char" arraysize="*"/><FIELD name="time_bounds_lower" datatype="double"/>'
        '<FIELD name="time_bounds_upper" datatype="double"/><DATA><BINARY><STREAM encoding="base64">AAAé</STREAM>'
        "</BINARY></DATA></TABLE></RESOURCE></VOTABLE>",
        encoding="utf-8",
    )
    planned, (failure,) = read(path)
    assert planned == []
    assert "The binary stream is damaged" in failure.reason


@pytest.mark.parametrize("processes", [1, 2])
def test_token_of_many_digits_spoils_its_row_alone(butler, tmp_path, processes):
    rows = sia_table()
    urls = [str(url) for url in rows["access_url"]]
    urls[1] = TOKEN.sub(LONG, urls[1])
    report = ingest_archive_table(butler, parquet_of(tmp_path / "t.parquet", access_url=urls), processes=processes)
    assert (len(report.ingested), len(report.failed)) == (len(rows) - 1, 1)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_row_whose_region_raises_fails_alone(monkeypatch, error):
    marked = str(sia_table()["s_region"][2])[13:]
    raise_for(monkeypatch, region_texts.math, "isnan", lambda value: value == float(marked.split()[0]), error)
    planned, failed = read(M31)
    same = [row for row in sia_table()["s_region"] if str(row)[13:].split()[0] == marked.split()[0]]
    assert len(failed) == len(same)
    assert len(planned) == len(sia_table()) - len(same)
    assert failed[0].reason == f"{type(error).__name__}: {error}".removesuffix(": ")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_row_whose_registration_raises_fails_alone(butler, monkeypatch, tmp_path, error):
    table = csv_of(sia_table(), tmp_path / "table.csv")
    raise_for(monkeypatch, StoredFileInfo, "to_record", lambda info, *_: FIRST_NAME in info.path, error)
    report = ingest_archive_table(butler, table)
    (failure,) = report.failed
    assert failure.uri.endswith(FIRST_NAME)
    assert failure.reason == f"{type(error).__name__}: {error}".removesuffix(": ")
    assert len(report.ingested) == len(sia_table()) - 1


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_table_that_cannot_be_read_on_says_so_and_keeps_what_came_before(error):
    def broken():
        yield from [(1,), (2,)]
        raise error

    *rows, last = up_to_damage(broken())
    assert rows == [(1,), (2,)]
    assert str(last).startswith("The table cannot be read on from here, so rows are missing: ")
    assert type(error).__name__ in str(last)


@pytest.mark.parametrize("processes", [1, 2])
def test_version_newer_than_all_known_is_told_once(butler, tmp_path, processes):
    table = sia_table()
    table["access_url"] = [
        str(url).replace("l2b-v21-2025-354", "l2b-v29-2027-100").replace("/qr2/", "/mine/")
        for url in table["access_url"]
    ]
    table["obs_collection"] = "spherex_qr3"
    path = csv_of(table, tmp_path / "new.csv")
    report = ingest_archive_table(butler, path, processes=processes, release="qr3")
    assert report.warnings == []
    report = ingest_archive_table(butler, path, processes=processes)
    (warning,) = report.warnings
    assert warning.startswith("l2b-v29-2027-100: version 29 is newer than 27")

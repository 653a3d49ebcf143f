"""Tables that users give: all columns, from every kind of file."""

from __future__ import annotations

import decimal
import gzip
from datetime import UTC, datetime
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time

from spherex_butler.errors import FormatError
from spherex_butler.search.reading import read_table

FORMATS = {"ecsv": "ascii.ecsv", "csv": "ascii.csv", "vot": "votable", "fits": "fits", "parquet": "parquet"}


@pytest.mark.parametrize("extension", FORMATS)
def test_all_columns_are_read(tmp_path, extension):
    names = MaskedColumn(["first", "", "the third"], mask=[False, True, False])
    table = Table({"name": names, "pmra": [1.5, np.nan, -2], "n": [1, 2, 3], "good": [True, False, True]})
    table["pmra"].unit = u.mas / u.yr
    path = tmp_path / f"table.{extension}"
    table.write(path, format=FORMATS[extension])
    found = read_table(path)
    assert found.colnames == table.colnames
    assert np.ma.filled(found["name"], "").astype(str).tolist() == ["first", "", "the third"]
    np.testing.assert_array_equal(np.ma.filled(found["pmra"].astype(float), np.nan), table["pmra"])
    assert found["n"].tolist() == [1, 2, 3]
    if extension != "csv":
        assert found["pmra"].unit == u.mas / u.yr


@pytest.mark.parametrize("extension", ["ecsv", "csv", "csv.gz"])
def test_byte_order_mark_of_a_spreadsheet_is_no_part_of_the_first_column(tmp_path, extension):
    table = Table({"ra": [10.5, 11.0], "dec": [1.0, 2.0], "name": ["ä", "b"]})
    table.write(tmp_path / "plain", format=FORMATS[extension.partition(".")[0]])
    content = b"\xef\xbb\xbf" + (tmp_path / "plain").read_bytes()
    path = tmp_path / f"table.{extension}"
    path.write_bytes(gzip.compress(content) if extension.endswith("gz") else content)
    found = read_table(path)
    assert found.colnames == ["ra", "dec", "name"]
    assert found["ra"].tolist() == [10.5, 11.0]
    assert found["name"].tolist() == ["ä", "b"]


@pytest.mark.parametrize("extension", ["ecsv", "fits", "parquet"])
def test_times_and_coordinates_of_astropy_are_read(tmp_path, extension):
    table = QTable({"time": Time(["2025-12-18T05:10:32.25", "2025-12-19"]), "n": [1, 2] * u.s})
    if extension != "fits":  # which astropy refuses
        table["where"] = SkyCoord([10, 20], [-5, 5], unit="deg")
    path = tmp_path / f"table.{extension}"
    table.write(path, format=FORMATS[extension])
    found = read_table(path)
    assert found.colnames == table.colnames
    assert abs(found["time"] - table["time"]).max() < 1 * u.ns
    if extension != "fits":
        assert found["where"].separation(table["where"]).max() < 1 * u.uas


def arrow(path: Path, **columns: pa.Array) -> Table:
    pq.write_table(pa.table(columns), path)
    return read_table(path)


def test_parquet_of_other_programs_is_read(tmp_path):
    day = datetime(2025, 12, 18, 5, 10, 32, 250000, tzinfo=UTC)
    found = arrow(
        tmp_path / "x.parquet",
        time=pa.array([day, None], pa.timestamp("us", "UTC")),
        day=pa.array([day.date(), None]),
        word=pa.array(["a", "ä"]).dictionary_encode(),
        exact=pa.array([decimal.Decimal("1.25"), None]),
        number=pa.array([7, None]),
        yes=pa.array([True, None]),
        none=pa.nulls(2),
        several=pa.array([[1, 2], None]),
    )
    assert str(found["time"].isot[0]) == "2025-12-18T05:10:32.250"
    assert found["time"].mask.tolist() == [False, True]
    assert found["word"].tolist() == ["a", "ä"]
    expected = {"day": "2025-12-18", "exact": 1.25, "number": 7, "yes": True, "several": [1, 2]}
    assert {name: found[name].tolist() for name in expected} == {name: [one, None] for name, one in expected.items()}
    assert found["none"].mask.all()


def test_parquet_without_rows_has_its_columns(tmp_path):
    found = arrow(tmp_path / "x.parquet", name=pa.array([], pa.string()), ra=pa.array([], pa.float64()))
    assert (len(found), found.colnames, found["ra"].dtype) == (0, ["name", "ra"], float)


def test_damaged_parquet_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and nothing")
    with pytest.raises(FormatError, match=r"x\.parquet' begins as Parquet, but cannot be read: "):
        read_table(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_may_be_separated_by_what_others_use(tmp_path, separator, end):
    lines = [("name", "ra", "dec"), ("a", "10.5", "41.0"), ("b", "00:42:44.3", "-5")]
    path = tmp_path / "stars.txt"
    path.write_text("".join(separator.join(line) + end for line in lines), newline="")
    found = read_table(path)
    assert found.colnames == ["name", "ra", "dec"]
    assert list(found["ra"]) == ["10.5", "00:42:44.3"]
    assert list(found["dec"]) == [41, -5]


def test_prose_is_not_a_table(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear all!\nThese are notes.\n")
    with pytest.raises(FormatError, match="expected a table as ECSV, CSV"):
        read_table(path)

"""Tables in HDF5 files: round trips, columns and rows, and what is refused."""

from __future__ import annotations

import json

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.coordinates import CartesianRepresentation, EarthLocation, SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.timeseries import TimeSeries
from astropy.utils.masked import Masked
from hdf5_files import damage, read, written

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.formats.hdf5.nodes import Node, open_file
from spherex_butler.formats.hdf5.table import read_table

COLUMNS = {
    "int": np.arange(3, dtype="i2"),
    "unit": Column([1.0, 2.0, 3.0], unit="MJy / sr", description="flux", format="%.2f", meta={"ucd": ["phot"]}),
    "odd unit": Column([1, 2, 3], unit=u.Unit("furlongs_of_light", parse_strict="silent")),
    "unicode": np.array(["", "\u03bcm", "zodi"]),
    "bytes": np.array([b"a", b"bc", b""]),
    "bool": np.array([True, False, True]),
    "cube": np.arange(18.0).reshape(3, 2, 3),
    "fields": np.array([(1, "a"), (2, "bb"), (3, "")], "i4,U2"),
    "masked": MaskedColumn([1, 2, 3], mask=[0, 1, 0], unit="s", description="time", meta={"a": 1}),
    "masked text": MaskedColumn(["a", "b", "c"], mask=[True, False, False]),
    "nothing masked": MaskedColumn([1.0, 2.0, 3.0]),
    "datetime": np.array(["2025-05-01", "2025-05-02", "NaT"], "M8[s]"),
    "time": Time([60000.0, 60001.0, 60002.1], format="mjd", scale="tai", precision=9),
    "sky": SkyCoord([1, 2, 3], [4, 5, 6], unit="deg", obstime=Time(["J2000", "J2010", "J2020"])),
    "galactic": SkyCoord([1, 2, 3], [4, 5, 6], unit="deg", frame="galactic"),
    "site": EarthLocation([1, 2, 3] * u.km, [1, 2, 3] * u.km, [1, 2, 3] * u.km),
    "vector": CartesianRepresentation([[1, 2, 3]] * 3 * u.m),
    "a/b %2F": np.arange(3),
    ".": np.arange(3),
}
QUANTITIES = {
    "quantity": [1, 2, 3] * u.Unit("MJy / sr"),
    "magnitude": u.Magnitude([1, 2, 3] * u.ABmag),
    "masked quantity": Masked([1.0, 2, 3], mask=[0, 0, 1]) * u.um,
    "structured": u.Quantity(np.array([(1, 2.0)] * 3, "f8,f8"), u.StructuredUnit((u.m, u.s))),
}
META = {"comments": ["x"], "size": 1 * u.deg, "when": Time("J2000"), "pair": (1, 2.5), 5: None, "nested": {"a": [1]}}


def assert_same_column(actual, expected):
    assert type(actual) is type(expected)
    assert actual.shape == expected.shape
    assert getattr(actual, "dtype", None) == getattr(expected, "dtype", None)
    for attribute in ("name", "unit", "description", "format"):
        assert getattr(actual.info, attribute) == getattr(expected.info, attribute)
    assert (actual.info.meta or {}) == (expected.info.meta or {})
    if hasattr(expected, "mask"):
        assert np.all(actual.mask == expected.mask)
    if isinstance(expected, Time):
        assert np.all(actual.jd1 == expected.jd1)
        assert np.all(actual.jd2 == expected.jd2)
    if isinstance(expected, SkyCoord):
        assert np.all(actual.separation(expected) == 0)
    assert repr(actual) == repr(expected)


def assert_same_table(actual, expected):
    assert type(actual) is type(expected)
    assert actual.colnames == expected.colnames
    assert actual.masked == expected.masked
    assert actual.meta == dict(expected.meta)
    for name in expected.colnames:
        assert_same_column(actual[name], expected[name])


def read_part(path, columns=None, rows=None):
    with open_file(str(path)) as file:
        return read_table(Node.of(file["table"], "table", rows), columns)


@pytest.fixture(scope="module")
def table():
    return Table(COLUMNS, meta=META)


@pytest.fixture(scope="module")
def path(table, tmp_path_factory):
    return written(tmp_path_factory.mktemp("table") / "table.h5", {"table": table})


TABLES = {
    "everything": Table(COLUMNS, meta=META),
    "quantities": QTable({**QUANTITIES, "masked": MaskedColumn([1, 2, 3], mask=[0, 1, 0]), "plain": [1, 2, 3]}),
    "no column": Table(),
    "no column but meta": QTable(meta={"a": 1}),
    "no row": Table(COLUMNS)[:0],
    "no row of quantities": QTable(QUANTITIES)[:0],
    "no item": Table({"a": np.zeros((2, 0))}),
    "masked": Table({"a": [1, 2]}, masked=True),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_table_keeps_columns_units_mixins_masks_and_meta(tmp_path, table):
    path = written(tmp_path / "table.h5", {"table": table})
    assert_same_table(read(path)["table"], table)
    assert_same_table(read_part(path), table)


def test_writing_leaves_the_table_as_it_was(path, table):
    assert path.exists()
    assert table.meta == META
    assert all(table[name].info.parent_table is table for name in table.colnames)


def test_subclass_comes_back_as_its_table_class(tmp_path):
    series = TimeSeries(time=Time([1, 2], format="mjd"), data={"flux": [1, 2] * u.Jy})
    table = read(written(tmp_path / "series.h5", {"series": series}))["series"]
    assert type(table) is QTable
    assert table.colnames == ["time", "flux"]
    assert np.all(table["flux"] == series["flux"])


@pytest.mark.parametrize("rows", [slice(1, None), slice(0, 0), slice(-2, 10), slice(None, None, 2), slice(5, 2)])
def test_rows_are_those_of_a_slice(path, table, rows):
    assert_same_table(read_part(path, rows=rows), table[rows])


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("sky", ["sky"]),
        ("*ti*e", ["datetime", "time"]),
        (["cube", "int"], ["int", "cube"]),
        ("a/b %2F", ["a/b %2F"]),
    ],
)
def test_columns_by_name_glob_and_list(path, table, columns, names):
    assert_same_table(read_part(path, columns, slice(2)), table[names][:2])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("nothing", "There is no column 'nothing'; the file has"),
        (["int", 3], "columns must be names or globs, not 3"),
    ],
)
def test_wrong_column_is_an_error_that_names_it(path, columns, message):
    with pytest.raises(ParameterError, match=message):
        read_part(path, columns)


def test_only_the_columns_and_rows_asked_for_are_read(tmp_path):
    table = Table({name: np.random.default_rng(1).normal(size=300_000) for name in "ab"})
    path = written(tmp_path / "damaged.h5", {"table": table}, {"compression": "gzip"})
    damage(path, "table/b")
    assert np.all(read_part(path, "a")["a"] == table["a"])
    assert np.all(read_part(path, rows=slice(1000))["b"] == table["b"][:1000])
    with pytest.raises(FormatError, match="'table/b' cannot be read"):
        read_part(path)


class Flux(u.Quantity):
    """A column class that astropy does not know."""


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (Table({"a": np.array([{}, 1], object)}), "column 'a' of 'table' has dtype dtype.'O'."),
        (QTable({"a": Flux([1, 2], "Jy")}), "astropy cannot rebuild column 'a' of 'table' from its parts: unsupported"),
        (Table({"a": [1]}, meta={"x": 1, "y": {1, object()}}), r"meta\['y'\] of 'table' cannot be stored"),
        (Table([Column([1], name="a", meta={"x": object()})]), "column 'a' of 'table' cannot be stored"),
        (Table([Column([1], name="a", format=len)]), "format=<.* of column 'a' of 'table' cannot be stored"),
        (Table([Column([1], name="a", unit=u.def_unit("spx"))]), "The unit 'spx' of column 'a' of 'table'"),
        (Table([Column([1], name="a\0")]), "column 'a.x00' of 'table' has the name"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(tmp_path, table, message):
    with pytest.raises(FormatError, match=message):
        written(tmp_path / "refused.h5", {"table": table})


@pytest.mark.parametrize(
    ("member", "key", "message"),
    [
        ("table", "meta", "meta of 'table' is damaged: while parsing"),
        ("table/t", "parts", "column 'table/t' is damaged: while parsing"),
    ],
)
def test_damaged_metadata_is_an_error_that_names_it(tmp_path, member, key, message):
    path = written(tmp_path / "damaged.h5", {"table": Table({"t": Time([1, 2], format="mjd")})})
    with h5py.File(path, "a") as file:
        tags = json.loads(file[member].attrs["spherex_butler"])
        file[member].attrs["spherex_butler"] = json.dumps({**tags, key: "{broken"})
    with pytest.raises(FormatError, match=message):
        read(path)

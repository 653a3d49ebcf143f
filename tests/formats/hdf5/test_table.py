"""Tables in HDF5 files: round trips, columns and rows, conversions."""

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


@pytest.fixture(scope="module")
def table():
    return Table(COLUMNS, meta=META)


@pytest.fixture(scope="module")
def ref(store, table):
    return store.put(table, "HDF5Table")


def test_table_keeps_columns_units_mixins_and_meta(store, ref, table):
    assert_same_table(store.get(ref), table)
    assert store.path(ref).suffix == ".h5"


def test_quantity_table_stays_one(store):
    table = QTable({**QUANTITIES, "masked": MaskedColumn([1, 2, 3], mask=[0, 1, 0]), "plain": [1, 2, 3]})
    assert_same_table(store.round_trip(table, "HDF5Table"), table)
    assert_same_table(store.round_trip({"a": table}, "HDF5")["a"], table)


def test_writing_leaves_the_table_as_it_was(store, table):
    store.put(table, "HDF5Table")
    assert table.meta == META
    assert all(table[name].info.parent_table is table for name in table.colnames)


@pytest.mark.parametrize(
    "table",
    [
        Table(),
        QTable(meta={"a": 1}),
        Table(COLUMNS)[:0],
        QTable(QUANTITIES)[:0],
        Table({"a": np.zeros((2, 0))}),
        Table({"a": [1, 2]}, masked=True),
    ],
    ids=["no column", "no column but meta", "no row", "no row of quantities", "no item", "masked"],
)
def test_empty_and_masked_tables(store, table):
    ref = store.put(table, "HDF5Table")
    assert_same_table(store.get(ref), table)
    assert store.get(ref, "rowcount") == len(table)
    assert store.get(ref, "columns") == table.colnames


def test_subclass_comes_back_as_its_table_class(store):
    series = TimeSeries(time=Time([1, 2], format="mjd"), data={"flux": [1, 2] * u.Jy})
    table = store.round_trip(series, "HDF5Table")
    assert type(table) is QTable
    assert table.colnames == ["time", "flux"]
    assert np.all(table["flux"] == series["flux"])


def test_components(store, ref, table):
    assert store.get(ref, "columns") == table.colnames
    assert store.get(ref, "rowcount") == 3
    schema = store.get(ref, "schema")
    assert list(schema) == table.colnames
    flux = {"dtype": "float64", "unit": "MJy / sr", "shape": [], "description": "flux"}
    assert schema["unit"].items() >= flux.items()
    assert schema["cube"].items() >= {"dtype": "float64", "unit": None, "shape": [2, 3], "description": None}.items()
    assert (schema["time"]["dtype"], schema["time"]["class"]) == (None, "Time")
    assert schema["masked text"]["dtype"] == "U1"


def test_components_take_the_parameters(store, ref):
    assert store.get(ref, "columns", columns=["m*", "int"]) == ["int", "masked", "masked text"]
    assert store.get(ref, "rowcount", rows=slice(1, None)) == 2
    assert list(store.get(ref, "schema", columns="cube")) == ["cube"]


@pytest.mark.parametrize("rows", [slice(1, None), slice(0, 0), slice(-2, 10), slice(None, None, 2), slice(5, 2)])
def test_rows_are_those_of_a_slice(store, ref, table, rows):
    assert_same_table(store.get(ref, rows=rows), table[rows])


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("sky", ["sky"]),
        ("*ti*e", ["datetime", "time"]),
        (["cube", "int"], ["int", "cube"]),
        ("a/b %2F", ["a/b %2F"]),
    ],
)
def test_columns_by_name_glob_and_list(store, ref, table, columns, names):
    assert_same_table(store.get(ref, columns=columns, rows=slice(2)), table[names][:2])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"columns": "nothing"}, "There is no column 'nothing'; the file has"),
        ({"columns": ["int", 3]}, "columns must be names or globs, not 3"),
        ({"rows": 3}, "rows=3 is not a slice"),
        ({"rows": slice(None, None, -1)}, "is not a slice with a positive step"),
    ],
)
def test_wrong_parameter_is_an_error_that_names_it(store, ref, parameters, message):
    with pytest.raises(ValueError, match=message):
        store.get(ref, **parameters)


def test_only_the_columns_and_rows_asked_for_are_read(store):
    table = Table({name: np.random.default_rng(1).normal(size=300_000) for name in "ab"})
    ref = store.put(table, "HDF5Table")
    path = store.path(ref)
    with h5py.File(path) as file:
        dataset = file["table/b"]
        last = dataset.id.get_chunk_info(dataset.id.get_num_chunks() - 1)
    with path.open("r+b") as stream:
        stream.seek(last.byte_offset)
        stream.write(b"\xff" * last.size)
    assert np.all(store.get(ref, columns="a")["a"] == table["a"])
    assert np.all(store.get(ref, rows=slice(1000))["b"] == table["b"][:1000])
    assert store.get(ref, "rowcount") == 300_000
    assert list(store.get(ref, "schema")) == ["a", "b"]
    with pytest.raises(ValueError, match="'table/b' cannot be read"):
        store.get(ref)


@pytest.mark.parametrize("name", ["AstropyTable", "ArrowAstropy", "VOTable", "VOQTable", "HDF5Table"])
def test_get_as_another_table_class(store, name):
    table = Table({"flux": Column([1.0, 2.0], unit="Jy"), "name": ["a", "b"]}, meta={"k": "v"})
    ref = store.put(table, "HDF5Table")
    converted = store.get(ref, storage_class=name)
    assert type(converted) is (QTable if name == "VOQTable" else Table)
    assert converted["flux"].unit == u.Jy
    assert list(converted["name"]) == ["a", "b"]
    assert converted.meta == {"k": "v"}
    assert len(store.get(ref, storage_class=name, rows=slice(1))) == 1


@pytest.mark.parametrize("name", ["AstropyTable", "AstropyQTable"])
def test_table_formatter_alone_in_a_plain_repository(configured_store, name):
    store = configured_store({name: "spherex_butler.formatters.hdf5.HDF5TableFormatter"}, include=False)
    table = (QTable if name == "AstropyQTable" else Table)({"q": [1, 2] * u.m, "t": Time([1, 2], format="mjd")})
    ref = store.put(table, name)
    assert store.path(ref).suffix == ".h5"
    assert_same_table(store.get(ref), table)


class Flux(u.Quantity):
    """A column class that astropy does not know."""


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (Table({"a": np.array([{}, 1], object)}), "column 'a' of 'table' has dtype dtype.'O'."),
        (
            QTable({"a": Flux([1, 2], "Jy")}),
            "astropy cannot rebuild column 'a' of 'table' from its parts: unsupported class",
        ),
        (Table({"a": [1]}, meta={"x": 1, "y": {1, object()}}), r"meta\['y'\] of 'table' cannot be stored"),
        (Table([Column([1], name="a", meta={"x": object()})]), "column 'a' of 'table' cannot be stored"),
        (
            Table([Column([1], name="a", format=lambda _: "x")]),
            "format=<function .* of column 'a' of 'table' cannot be stored",
        ),
        (Table([Column([1], name="a", unit=u.def_unit("spx"))]), "The unit 'spx' of column 'a' of 'table'"),
        (Table([Column([1], name="a\0")]), "column 'a.x00' of 'table' has the name"),
    ],
)
def test_what_cannot_be_stored_is_named_and_nothing_is_left(store, table, message):
    before = store.files()
    with pytest.raises(RuntimeError) as caught:
        store.put(table, "HDF5Table")
    assert type(caught.value.__cause__).__name__ == "FormatError"
    with pytest.raises(type(caught.value.__cause__), match=message):
        raise caught.value.__cause__
    assert store.files() == before


def test_damaged_metadata_is_an_error_that_names_it(store, tmp_path):
    path = store.path(store.put(Table({"t": Time([1, 2], format="mjd")}), "HDF5Table"))
    for member, key, message in (
        ("table", "meta", "meta of 'table' is damaged: while parsing"),
        ("table/t", "parts", "column 'table/t' is damaged: while parsing"),
    ):
        copy = tmp_path / f"{key}.h5"
        copy.write_bytes(path.read_bytes())
        with h5py.File(copy, "a") as file:
            tags = json.loads(file[member].attrs["spherex_butler"])
            file[member].attrs["spherex_butler"] = json.dumps({**tags, key: "{broken"})
        with pytest.raises(ValueError, match=message):
            store.get(store.ingest(copy, "HDF5Table"))

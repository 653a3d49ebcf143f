"""VOTables through a Butler: subsets, components, recipes and other storage classes."""

from __future__ import annotations

import gzip
import io

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table
from lsst.daf.butler import (
    DataCoordinate,
    DatasetRef,
    DatasetType,
    FileDataset,
    FileDescriptor,
    Location,
)

from spherex_butler.errors import FormatError
from spherex_butler.formatters.votable import VOTableFormatter

RECIPES = ("binary2", "binary", "tabledata")
FORMATTER = "spherex_butler.formatters.votable.VOTableFormatter"


def assert_same(put, got):
    """Compare two tables; what of a column else is kept is tested in test_votable.py."""
    assert type(got) is type(put)
    assert got.colnames == put.colnames
    assert len(got) == len(put)
    assert got.meta == put.meta
    for name in put.colnames:
        assert type(got[name]) is type(put[name])
        assert got[name].dtype == put[name].dtype
        assert got[name].unit == put[name].unit
        assert all(map(np.array_equal, got[name], put[name]))


def objects(*values):
    column = np.empty(len(values), object)
    column[:] = values
    return column


@pytest.fixture(params=RECIPES)
def recipe_store(request, stores):
    return stores[request.param]


def test_storage_class_decides_between_table_and_qtable(store):
    table = QTable({"flux": [1.0, 2.0] * u.Jy, "n": [1, 2]})
    ref = store.put(table, "VOQTable")
    plain = store.get(ref, storage_class="VOTable")
    assert type(plain) is Table
    assert type(plain["flux"]) is Column
    assert plain["flux"].unit == u.Jy
    again = store.get(store.put(plain, "VOTable"), storage_class="VOQTable")
    assert_same(table, again)
    assert type(store.round_trip(table, "VOTable")) is Table
    assert type(store.round_trip(plain, "VOQTable")["flux"]) is u.Quantity


@pytest.mark.parametrize("name", ["AstropyTable", "AstropyQTable", "ArrowAstropy", "HDF5Table"])
def test_table_is_had_as_other_table_classes(store, name):
    table = Table({"flux": Column([1.0, 2.0], unit="Jy"), "name": ["a", "bc"]})
    got = store.get(store.put(table, "VOTable"), storage_class=name)
    assert_same(QTable(table) if name == "AstropyQTable" else table, got)


def test_table_is_had_as_an_arrow_table(store):
    table = Table({"x": [1.5, 2.5], "name": ["a", "bc"]})
    got = store.get(store.put(table, "VOTable"), storage_class="ArrowTable")
    assert isinstance(got, pa.Table)
    assert got.to_pydict() == {"x": [1.5, 2.5], "name": ["a", "bc"]}


@pytest.fixture(scope="module")
def long_tables():
    """Tables of more rows than astropy allocates at first, of fixed and of variable row size."""
    rows = 2_001
    fixed = Table({"i": np.arange(rows), "f": np.arange(rows) / 7, "s": np.arange(rows).astype("U")})
    varying = fixed.copy()
    varying["v"] = objects(*(np.arange(row % 4, dtype="i4") for row in range(rows)))
    return {"fixed": fixed, "varying": varying}


@pytest.mark.parametrize("kind", ["fixed", "varying"])
@pytest.mark.parametrize(
    "rows",
    [
        slice(5),
        slice(3, None, 700),
        slice(-3, None),
        slice(0, -1998, 2),
        slice(7, 3),
        slice(20_000),
    ],
)
def test_rows_are_those_of_the_slice(recipe_store, long_tables, kind, rows):
    table = long_tables[kind]
    assert_same(table[rows], recipe_store.get(recipe_store.put(table, "VOTable"), rows=rows))


@pytest.mark.parametrize("kind", ["fixed", "varying"])
@pytest.mark.parametrize("columns", ["s", ["s", "i"], "[fs]", ["i", "f*"]])
def test_columns_are_names_or_globs(recipe_store, long_tables, kind, columns):
    names = {"s": ["s"], "[fs]": ["f", "s"]}.get(columns) if isinstance(columns, str) else None
    names = names or (["i", "s"] if columns == ["s", "i"] else ["i", "f"])
    table = long_tables[kind]
    got = recipe_store.get(recipe_store.put(table, "VOTable"), columns=columns, rows=slice(1000, 1500))
    assert_same(table[names][1000:1500], got)


def test_unknown_column_is_named(store):
    ref = store.put(Table({"x": [1]}), "VOTable")
    with pytest.raises(ValueError, match=r"There is no column 'y'; the file has \['x'\]"):
        store.get(ref, columns="y")


def test_odd_rows_are_refused(store):
    ref = store.put(Table({"x": [1]}), "VOTable")
    with pytest.raises(ValueError, match=r"rows=3 is not a slice with a positive step"):
        store.get(ref, rows=3)


def test_unknown_parameter_is_refused(store):
    ref = store.put(Table({"x": [1]}), "VOTable")
    with pytest.raises(KeyError, match="bbox"):
        store.get(ref, bbox=(0, 1, 0, 1))


def test_components(recipe_store):
    table = Table({"ra": Column([1.0, 2.0], unit="deg", description="Right ascension"), "n": np.zeros((2, 3), "u2")})
    table["ra"].meta["ucd"] = "pos.eq.ra"
    table["name"] = ["a", "bcd"]
    ref = recipe_store.put(table, "VOTable")
    assert recipe_store.get(ref, "columns") == ["ra", "n", "name"]
    assert recipe_store.get(ref, "columns", storage_class="ArrowColumnList") == ["ra", "n", "name"]
    assert recipe_store.get(ref, "rowcount") == 2
    assert recipe_store.get(ref, "units") == {"ra": "deg", "n": None, "name": None}
    schema = recipe_store.get(ref, "schema")
    assert schema["ra"] == {
        "dtype": "float64",
        "unit": "deg",
        "shape": [],
        "description": "Right ascension",
        "class": "Column",
        "meta": {"ucd": "pos.eq.ra"},
    }
    assert (schema["n"]["dtype"], schema["n"]["shape"], schema["name"]["dtype"]) == ("uint16", [3], "U3")


def test_components_need_no_data(store):
    ref = store.put(Table({"x": [1.0] * 1000}), "VOTable")
    path = store.path(ref)
    text = path.read_text()
    start = text.index("base64") + 20
    path.write_text(text[:start] + "?" + text[start + 1 :])
    assert store.get(ref, "rowcount") == 1000
    assert store.get(ref, "columns") == ["x"]
    assert store.get(ref, "units") == {"x": None}
    with pytest.raises(ValueError, match="is no base64"):
        store.get(ref)


def test_the_same_table_makes_the_same_file(recipe_store):
    table = Table({"x": [1.5, 2.5], "s": ["é", "b"]}, meta={"b": 1, "a": [1]})
    first, second = (recipe_store.path(recipe_store.put(table, "VOTable")).read_bytes() for _ in range(2))
    assert first == second


def test_bytes_for_a_remote_store_are_those_of_a_file(store):
    table = Table({"x": [1.5], "s": ["é"]})
    ref = store.put(table, "VOTable")
    location = Location(None, store.butler.getURI(ref))
    formatter = VOTableFormatter(FileDescriptor(location, ref.datasetType.storageClass), ref=ref)
    data = store.path(ref).read_bytes()
    assert formatter.to_bytes(table) == data
    assert formatter.read_from_stream(io.BytesIO(data), component="rowcount") == 1
    assert formatter.read_from_stream(io.BytesIO(data)) is NotImplemented


def test_extension_is_vot(store):
    assert store.path(store.put(Table({"x": [1]}), "VOTable")).suffix == ".vot"


def test_gzipped_file_is_read(store):
    table = Table({"x": [1]})
    path = store.path(store.put(table, "VOTable"))
    data = gzip.compress(path.read_bytes())
    target = path.with_name("gzipped.vot.gz")
    target.write_bytes(data)
    assert_same(table, store.get(ingested(store, target)))


@pytest.mark.parametrize(
    ("name", "cut", "message"),
    [
        (
            "cut.vot.gz",
            20,
            "astropy cannot read the VOTable: Compressed file ended.* expected a complete VOTable",
        ),
        ("cut.vot", 100, "astropy cannot read the VOTable: .* expected a complete VOTable document"),
    ],
)
def test_truncated_file_is_an_error(store, name, cut, message):
    path = store.path(store.put(Table({"x": np.arange(100)}), "VOTable"))
    data = path.read_bytes()
    target = path.with_name(name)
    target.write_bytes((gzip.compress(data) if name.endswith("gz") else data)[:-cut])
    ref = ingested(store, target)
    with pytest.raises(ValueError, match=message) as error:
        store.get(ref)
    assert isinstance(error.value.__cause__, FormatError)


def ingested(store, path, storage_class="VOTable"):
    """Register a file as it is and return its ref."""
    dimensions = store.butler.dimensions.empty
    name = f"ingested{abs(hash(path))}"
    dataset_type = DatasetType(name, dimensions, storage_class)
    store.butler.registry.registerDatasetType(dataset_type)
    ref = DatasetRef(dataset_type, DataCoordinate.make_empty(store.butler.dimensions), run="test")
    store.butler.ingest(FileDataset(path, [ref]), transfer="copy")
    return ref


def test_formatter_serves_astropy_tables_in_a_plain_repository(configured_store):
    store = configured_store({"AstropyTable": FORMATTER, "AstropyQTable": FORMATTER}, include=False)
    table = Table({"x": Column([1.5], unit="m"), "s": ["é"]}, meta={"n": 1})
    assert_same(table, store.round_trip(table, "AstropyTable"))
    assert_same(QTable(table), store.round_trip(QTable(table), "AstropyQTable"))


def test_configured_recipe_is_used(configured_store):
    formatter = {"formatter": FORMATTER, "parameters": {"recipe": "text"}}
    defaults = {"write_recipes": {FORMATTER: {"text": {"serialization": "tabledata"}}}}
    store = configured_store({"VOTable": formatter, **defaults})
    table = Table({"x": [1.5]})
    ref = store.put(table, "VOTable")
    assert "<TD>1.5</TD>" in store.path(ref).read_text()
    assert_same(table, store.get(ref))


def test_recipe_of_unknown_serialization_is_refused(configured_store):
    store = configured_store({"VOTable": FORMATTER, "write_recipes": {FORMATTER: {"odd": {"serialization": "fits"}}}})
    with pytest.raises(RuntimeError, match=r"Write recipe 'odd' .* has serialization='fits'; expected one of") as error:
        store.put(Table({"x": [1]}), "VOTable")
    assert "'tabledata'" in str(error.value)


SLICES = [
    slice(3, 9),
    slice(0, 0),
    slice(9, 3),
    slice(40, None),
    slice(-5, None),
    slice(10, 40, 7),
    slice(45, 100),
    slice(60, 70),
    slice(None, None, 3),
]


def fifty_rows(*, varying):
    table = Table(
        {
            "number": np.arange(50),
            "text": [f"source {n}" for n in range(50)],
            "vector": np.arange(150).reshape(50, 3),
            "masked": MaskedColumn(np.arange(50.0), mask=np.arange(50) % 7 == 0),
        }
    )
    if varying:
        table["spectrum"] = np.array([np.arange(n % 4) for n in range(50)], dtype=object)
    return table


@pytest.mark.parametrize("recipe", ["binary2", "binary", "tabledata"])
@pytest.mark.parametrize("varying", [False, True])
def test_rows_are_those_of_the_table(configured_store, recipe, varying):
    formatter = "spherex_butler.formatters.VOTableFormatter"
    store = configured_store({"VOTable": {"formatter": formatter, "parameters": {"recipe": recipe}}})
    table = fifty_rows(varying=varying)
    ref = store.put(table, "VOTable")
    for rows in SLICES:
        found, expected = store.get(ref, rows=rows), table[rows]
        for name in ("number", "text", "vector"):
            assert np.array_equal(found[name], expected[name]), (rows, name)
        assert np.array_equal(np.ma.filled(found["masked"], -1), np.ma.filled(expected["masked"], -1)), rows
        if varying:
            assert all(map(np.array_equal, found["spectrum"], expected["spectrum"])), rows


def test_only_rows_asked_for_are_converted(store, tmp_path):
    """A number that is none stands in the last row."""
    rows = "".join(f"<TR><TD>{n if n < 49 else 'x'}</TD></TR>" for n in range(50))
    path = tmp_path / "table.vot"
    path.write_text(
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE nrows="50">'
        f'<FIELD name="number" datatype="long"/><DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>'
    )
    ref = store.ingest(path, "VOTable")
    assert store.get(ref, rows=slice(40, 49))["number"].tolist() == list(range(40, 49))
    with pytest.raises(ValueError, match="x"):
        store.get(ref)

"""VOTables through a Butler: round trips, components, parameters, recipes and other storage classes."""

from __future__ import annotations

import gzip
import io

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table
from lsst.daf.butler import FileDescriptor, Location
from refusals import refused
from votable_documents import assert_same

from spherex_butler.errors import FormatError
from spherex_butler.formatters.votable import VOTableFormatter

FORMATTER = "spherex_butler.formatters.votable.VOTableFormatter"


def make_table():
    table = Table({"ra": Column([1.0, 2.0, 3.0], unit="deg", description="Right ascension", meta={"ucd": "pos.eq.ra"})})
    table["n"] = np.zeros((3, 3), "u2")
    table["name"] = MaskedColumn(["a", "bcd", "é"])
    table.meta = {"n": 1, "list": [1, "a"]}
    return table


@pytest.fixture(scope="module")
def ref(store):
    return store.put(make_table(), "VOTable")


def assert_comes_back(store, storage_class, element):
    ref = store.put(make_table(), storage_class)
    assert f"<{element}>" in store.path(ref).read_text()
    assert store.path(ref).suffix == ".vot"
    assert_same(make_table(), store.get(ref))


def test_table_comes_back_by_every_recipe(store, configured_store):
    recipes = {"VOTable": "binary", "AstropyTable": "tabledata", "ArrowAstropy": "configured"}
    formatters = {name: {"formatter": FORMATTER, "parameters": {"recipe": recipe}} for name, recipe in recipes.items()}
    configured = {"write_recipes": {FORMATTER: {"configured": {"serialization": "tabledata"}}}}
    other = configured_store(formatters | configured)
    assert_comes_back(store, "VOTable", "BINARY2")
    for name, element in zip(recipes, ("BINARY", "TABLEDATA", "TABLEDATA"), strict=True):
        assert_comes_back(other, name, element)


def test_storage_class_decides_between_table_and_qtable(store):
    table = QTable({"flux": [1.0, 2.0] * u.Jy, "n": [1, 2]})
    ref = store.put(table, "VOQTable")
    assert_same(table, store.get(ref))
    plain = store.get(ref, storage_class="VOTable")
    assert (type(plain), type(plain["flux"]), plain["flux"].unit) == (Table, Column, u.Jy)
    assert_same(table, store.get(store.put(plain, "VOTable"), storage_class="VOQTable"))
    assert type(store.round_trip(table, "VOTable")) is Table
    assert type(store.round_trip(plain, "VOQTable")["flux"]) is u.Quantity


@pytest.mark.parametrize("name", ["AstropyTable", "AstropyQTable", "ArrowAstropy", "HDF5Table"])
def test_get_as_another_table_class(store, name):
    table = Table({"flux": Column([1.0, 2.0], unit="Jy"), "name": ["a", "bc"]})
    got = store.get(store.put(table, "VOTable"), storage_class=name)
    assert_same(QTable(table) if name == "AstropyQTable" else table, got)


def test_get_as_an_arrow_table(store):
    table = Table({"x": [1.5, 2.5], "name": ["a", "bc"]})
    got = store.get(store.put(table, "VOTable"), storage_class="ArrowTable")
    assert isinstance(got, pa.Table)
    assert got.to_pydict() == {"x": [1.5, 2.5], "name": ["a", "bc"]}


def test_components(store, ref):
    assert store.get(ref, "columns") == ["ra", "n", "name"]
    assert store.get(ref, "columns", storage_class="ArrowColumnList") == ["ra", "n", "name"]
    assert store.get(ref, "rowcount") == 3
    assert store.get(ref, "units") == {"ra": "deg", "n": None, "name": None}
    schema = store.get(ref, "schema")
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
    with pytest.raises(ValueError, match="is not base64"):
        store.get(ref)


def test_columns_and_rows(store, ref):
    expected = make_table()["ra", "name"][1:]
    assert_same(expected, store.get(ref, columns=["name", "r?"], rows=slice(1, None)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"columns": "y"}, r"There is no column 'y'; the file has \['ra', 'n', 'name'\]"),
        ({"rows": 3}, r"rows=3 is not a slice with a positive step"),
        ({"bbox": (0, 1, 0, 1)}, "bbox"),
    ],
)
def test_wrong_parameter_is_an_error_that_names_it(store, ref, parameters, message):
    with pytest.raises((ValueError, KeyError), match=message):
        store.get(ref, **parameters)


def test_bytes_for_a_remote_store_are_those_of_a_file(store, ref):
    location = Location(None, store.butler.getURI(ref))
    formatter = VOTableFormatter(FileDescriptor(location, ref.datasetType.storageClass), ref=ref)
    data = store.path(ref).read_bytes()
    assert formatter.to_bytes(make_table()) == data
    assert formatter.read_from_stream(io.BytesIO(data), component="rowcount") == 3
    assert formatter.read_from_stream(io.BytesIO(data)) is NotImplemented


def test_gzipped_file_is_read(store, ref, tmp_path):
    path = tmp_path / "gzipped.vot.gz"
    path.write_bytes(gzip.compress(store.path(ref).read_bytes()))
    assert_same(make_table(), store.get(store.ingest(path, "VOTable")))


@pytest.mark.parametrize(("name", "said"), [("cut.vot.gz", "Compressed file ended"), ("cut.vot", "unclosed token")])
def test_truncated_file_is_an_error(store, ref, tmp_path, name, said):
    data = store.path(ref).read_bytes()
    path = tmp_path / name
    path.write_bytes((gzip.compress(data) if name.endswith("gz") else data)[:-20])
    with pytest.raises(ValueError, match=f"astropy cannot read the VOTable: .*{said}.* expected a complete") as error:
        store.get(store.ingest(path, "VOTable"))
    assert isinstance(error.value.__cause__, FormatError)


def test_refused_table_leaves_nothing(store):
    said = refused("VOTable", store, Table({"bad": np.ones(1, "g")}))
    assert "Column 'bad' has dtype 'float128', which a VOTable cannot hold" in said


def test_formatter_serves_astropy_tables_in_a_plain_repository(configured_store):
    store = configured_store({"AstropyTable": FORMATTER, "AstropyQTable": FORMATTER}, include=False)
    table = Table({"x": Column([1.5], unit="m"), "s": ["é"]}, meta={"n": 1})
    assert_same(table, store.round_trip(table, "AstropyTable"))
    assert_same(QTable(table), store.round_trip(QTable(table), "AstropyQTable"))


def test_recipe_of_unknown_serialization_is_refused(configured_store):
    store = configured_store({"VOTable": FORMATTER, "write_recipes": {FORMATTER: {"odd": {"serialization": "fits"}}}})
    with pytest.raises(RuntimeError, match=r"Write recipe 'odd' .* has serialization='fits'; expected one of") as error:
        store.put(Table({"x": [1]}), "VOTable")
    assert "'tabledata'" in str(error.value)

"""HDF5 files through a Butler: round trips, components, parameters, recipes and other storage classes."""

from __future__ import annotations

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.table import Column, QTable, Table
from astropy.time import Time
from hdf5_files import assert_same
from refusals import refused

from spherex_butler.errors import FormatError

ARRAY_FORMATTER = "spherex_butler.formatters.hdf5.HDF5ArrayFormatter"
TABLE_FORMATTER = "spherex_butler.formatters.hdf5.HDF5TableFormatter"


def make_table():
    table = Table({"int": [1, 2, 3], "cube": np.arange(18.0).reshape(3, 2, 3), "name": ["a", "b", "cc"]})
    table["flux"] = Column([1.0, 2.0, 3.0], unit="MJy / sr", description="brightness")
    table["time"] = Time([60000.0, 60001.0, 60002.1], format="mjd")
    table.meta = {"k": "v"}
    return table


ARRAY = np.arange(12, dtype="f4").reshape(3, 4)
TREE = {"@attrs": {"root": 1}, "a": ARRAY, "b": {"c": "text", "t": Table({"n": [1, 2, 3]})}}


@pytest.fixture(scope="module")
def refs(store):
    datasets = {"HDF5": TREE, "HDF5Table": make_table(), "HDF5Array": ARRAY}
    return {name: store.put(dataset, name) for name, dataset in datasets.items()}


def test_tree_comes_back(store, refs):
    tree = store.get(refs["HDF5"])
    assert list(tree["b"]["t"]["n"]) == [1, 2, 3]
    assert_same({**tree, "b": tree["b"]["c"]}, {**TREE, "b": "text"})


def test_table_comes_back(store, refs):
    table, expected = store.get(refs["HDF5Table"]), make_table()
    assert type(table) is Table
    assert table.meta == {"k": "v"}
    assert [repr(column) for column in table.itercols()] == [repr(column) for column in expected.itercols()]


@pytest.mark.parametrize("array", [ARRAY, [1, 2] * u.Jy, np.array(["a", "\u03bc"]), np.array(3)])
def test_array_or_quantity_comes_back(store, array):
    ref = store.put(array, "HDF5Array")
    assert_same(store.get(ref), array)
    assert (store.get(ref, "shape"), store.get(ref, "dtype")) == (list(array.shape), array.dtype)
    assert store.path(ref).suffix == ".h5"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("HDF5", "keys", {}), ["a", "b/c", "b/t"]),
        (("HDF5", "keys", {"keys": "b"}), ["b/c", "b/t"]),
        (("HDF5", "shapes", {"slices": {"b/t": slice(1)}}), {"a": (3, 4), "b/c": (), "b/t": (1,)}),
        (("HDF5", "attributes", {"keys": "b"}), {"": {"root": 1}}),
        (("HDF5Table", "columns", {}), ["int", "cube", "name", "flux", "time"]),
        (("HDF5Table", "columns", {"columns": ["*t*", "flux"]}), ["int", "flux", "time"]),
        (("HDF5Table", "rowcount", {}), 3),
        (("HDF5Table", "rowcount", {"rows": slice(1, None)}), 2),
        (("HDF5Array", "shape", {"slices": (slice(2), slice(1))}), [2, 1]),
        (("HDF5Array", "dtype", {}), np.dtype("f4")),
    ],
)
def test_components_take_the_parameters(store, refs, wanted, expected):
    storage_class, component, parameters = wanted
    assert store.get(refs[storage_class], component, **parameters) == expected


def test_schema(store, refs):
    schema = store.get(refs["HDF5Table"], "schema")
    assert list(schema) == ["int", "cube", "name", "flux", "time"]
    flux = {"dtype": "float64", "unit": "MJy / sr", "shape": [], "description": "brightness"}
    assert schema["flux"].items() >= flux.items()
    assert schema["cube"].items() >= {"dtype": "float64", "unit": None, "shape": [2, 3], "description": None}.items()
    assert (schema["time"]["dtype"], schema["time"]["class"], schema["name"]["dtype"]) == (None, "Time", "U2")


def test_subsets(store, refs):
    assert_same(store.get(refs["HDF5Array"], slices=(slice(1, 3), slice(2))), ARRAY[1:3, :2])
    assert_same(store.get(refs["HDF5"], keys="a", slices=slice(1)), {"@attrs": {"root": 1}, "a": ARRAY[:1]})
    table = store.get(refs["HDF5Table"], columns=["name", "int"], rows=slice(1, None))
    assert (table.colnames, list(table["name"])) == (["int", "name"], ["b", "cc"])


@pytest.mark.parametrize(
    ("storage_class", "parameters", "message"),
    [
        ("HDF5", {"rows": slice(1)}, "rows"),
        ("HDF5Table", {"rows": 3}, "rows=3 is not a slice with a positive step"),
    ],
)
def test_wrong_parameter_is_an_error_that_names_it(store, refs, storage_class, parameters, message):
    with pytest.raises((ValueError, KeyError), match=message):
        store.get(refs[storage_class], **parameters)


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


def test_formatters_alone_in_a_plain_repository(configured_store):
    tables = {"AstropyTable": Table, "AstropyQTable": QTable}
    datasets = {name: kind({"q": [1, 2], "t": Time([1, 2], format="mjd")}) for name, kind in tables.items()}
    datasets["NumpyArray"] = np.array([(1, "\u03bc"), (2, "")], "i4,U2")
    formatters = {**dict.fromkeys(tables, TABLE_FORMATTER), "NumpyArray": ARRAY_FORMATTER}
    store = configured_store(formatters, include=False)
    for name, dataset in datasets.items():
        ref = store.put(dataset, name)
        assert store.path(ref).suffix == ".h5"
        assert repr(store.get(ref)) == repr(dataset)


# Files.


def written(store, tmp_path, ref):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(store.path(ref).read_bytes())
    return copy


@pytest.mark.parametrize("name", ["HDF5", "HDF5Table", "HDF5Array"])
def test_truncated_file_is_an_error(store, refs, tmp_path, name):
    copy = written(store, tmp_path, refs[name])
    copy.write_bytes(copy.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"The file is truncated or damaged .*truncated file") as caught:
        store.get(store.ingest(copy, name))
    assert isinstance(caught.value.__cause__, FormatError)


def test_file_that_is_not_hdf5_is_an_error(store, tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("SIMPLE  =                    T")
    with pytest.raises(ValueError, match=r"it lacks the HDF5 signature .*Expected a complete HDF5 file"):
        store.get(store.ingest(path, "HDF5"))


def test_tree_formatter_reads_tables_and_arrays_too(store, refs, tmp_path):
    table, array = (store.ingest(written(store, tmp_path, refs[name]), "HDF5") for name in ("HDF5Table", "HDF5Array"))
    assert list(store.get(table)["table"]["int"]) == [1, 2, 3]
    assert_same(store.get(array), {"array": ARRAY})


@pytest.mark.parametrize(
    ("members", "storage_class", "message"),
    [
        ({"a": 1, "b": 2}, "HDF5Table", r"no 'table' and no single .*\['a', 'b'\]; read it as storage class HDF5"),
        ({}, "HDF5Array", r"has no 'array' and no single member to take for it, but \[\]"),
        ({"a": np.arange(3)}, "HDF5Table", "'a' is not a table of this format; read the file as storage class HDF5"),
        ({"a/b": np.arange(3)}, "HDF5Array", "'a' is not an array; read the file as storage class HDF5"),
        ({"array": "text"}, "HDF5Array", "'array' is not an array; read the file as storage class HDF5"),
    ],
)
def test_file_of_another_storage_class_is_an_error(store, tmp_path, members, storage_class, message):
    with h5py.File(tmp_path / "foreign.hdf5", "w") as file:
        file.update(members)
    with pytest.raises(ValueError, match=message):
        store.get(store.ingest(tmp_path / "foreign.hdf5", storage_class))


def test_only_dataset_of_a_file_is_its_array(store, tmp_path):
    with h5py.File(tmp_path / "image.hdf5", "w") as file:
        file["image"] = np.arange(6, dtype=">i2").reshape(2, 3)
    ref = store.ingest(tmp_path / "image.hdf5", "HDF5Array")
    assert store.get(ref, slices=slice(1)).tolist() == [[0, 1, 2]]
    assert (store.get(ref, "dtype"), store.get(ref, "shape")) == (np.dtype("=i2"), [2, 3])


@pytest.mark.parametrize(
    ("dataset", "storage_class", "message"),
    [
        ({"first": np.arange(3), "a": {1, 2}}, "HDF5", "'a' is a builtins.set, which this format does not store"),
        (Table({"a": np.array([{}, 1], object)}), "HDF5Table", "column 'a' of 'table' has dtype dtype('O')"),
    ],
)
def test_refused_dataset_leaves_nothing(store, dataset, storage_class, message):
    assert message in refused(storage_class, store, dataset)


# Recipes.


def filters(path):
    with h5py.File(path) as file:
        return file["array"].compression, file["array"].compression_opts, file["array"].shuffle


def test_recipe_chooses_the_filters_of_large_arrays(configured_store):
    recipes = {"NumpyArray": "none", "HDF5Array": "lzf", "ArrowNumpy": "gzip"}
    expected = {"NumpyArray": (None, None, False), "HDF5Array": ("lzf", None, True), "ArrowNumpy": ("gzip", 4, True)}
    formatters = {
        name: {"formatter": ARRAY_FORMATTER, "parameters": {"recipe": recipe} if recipe != "gzip" else {}}
        for name, recipe in recipes.items()
    }
    store, array = configured_store(formatters), np.arange(40_000.0)
    for name, said in expected.items():
        ref = store.put(array, name)
        assert filters(store.path(ref)) == said
        np.testing.assert_array_equal(store.get(ref), array)


def test_small_and_empty_arrays_are_stored_whole(store):
    for array in (np.arange(1000.0), np.zeros((0, 1000)), np.array(1)):
        assert filters(store.path(store.put(array, "HDF5Array"))) == (None, None, False)


def test_configured_recipe_with_an_impossible_filter_is_an_error(configured_store):
    recipes = {"write_recipes": {ARRAY_FORMATTER: {"odd": {"compression": "brotli"}}}}
    store = configured_store({"NumpyArray": {"formatter": ARRAY_FORMATTER, "parameters": {"recipe": "odd"}}} | recipes)
    said = refused("NumpyArray", store, np.arange(40_000.0))
    assert "HDF5 cannot store 'array' with options {'compression': 'brotli'}" in said

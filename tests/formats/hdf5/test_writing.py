"""What is refused in HDF5 files, how recipes store the rest, and the array formatter used alone."""

from __future__ import annotations

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.coordinates import Angle
from astropy.table import Table

# What cannot be stored.


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"b": np.array([{}], object)}}, "'a/b' has dtype dtype.'O'.: it holds Python objects"),
        ({"a": np.zeros(2, [("x", "i4"), ("y", "O")])}, "'a' has dtype .*Python objects"),
        ({"a": np.zeros(2, [])}, "'a' has dtype .* holds nothing"),
        ({"a": np.zeros(2, [("x\0", "i4")])}, "A field of 'a' has the name 'x.x00'; expected"),
        ({"a": {"b": {1, 2}}}, "'a/b' is a builtins.set, which this format does not store"),
        ({"a": np.ma.array([1, 2])}, "'a' is a numpy.ma.*MaskedArray, which"),
        ({"a": Angle(1, "deg")}, "'a' is a astropy.coordinates.angles.core.Angle, which"),
        ({"a": [np.arange(3)]}, "'a' holds a numpy.ndarray within a list"),
        ({"a": [{1: 2}]}, "'a' holds a builtins.dict within a list"),
        ({"a": [10**5000]}, "'a' cannot be stored as JSON: Exceeds the limit"),
        ({"a": 1 * u.def_unit("spx")}, "The unit 'spx' of 'a' cannot be restored"),
        ({"a": {"b/c": 1}}, "A key in 'a' has the name 'b/c', which HDF5 would take for a path"),
        ({".": 1}, "A key in the root of the file has the name '.', which"),
        ({"a": {"": 1}}, "A key in 'a' has the name ''; expected a non-empty str"),
        ({"a": {3: 1}}, "A key in 'a' has the name 3; expected"),
        ({"a\0": 1}, "the root of the file has the name .*; expected"),
        ({"\ud800": 1}, "the root of the file has the name .*; expected"),
        ({"a": {"@attrs": 3}}, "'@attrs' in 'a' is 3; expected a mapping"),
        ({"a": {"@attrs": {"x": Table()}}}, "attribute 'x' of 'a' is a astropy.table.table.Table, which"),
        ({"@attrs": {"x": {"y": np.arange(2)}}}, "attribute 'x' of the root of the file holds a numpy.ndarray"),
        ({"@attrs": {"x" * 70_000: 1}}, "HDF5 cannot store attribute 'xxx"),
        ({"@attrs": {"": 1}}, "attribute '' of the root of the file has the name ''"),
        ({"@attrs": {"spherex_butler": 1}}, "has a name that this format keeps for itself"),
    ],
)
def test_what_cannot_be_stored_is_named_and_nothing_is_left(store, tree, message):
    before = store.files()
    with pytest.raises(RuntimeError) as caught:
        store.put({"first": np.arange(3), **tree}, "HDF5")
    assert type(caught.value.__cause__).__name__ == "FormatError"
    with pytest.raises(type(caught.value.__cause__), match=message):
        raise caught.value.__cause__
    assert store.files() == before


# Recipes.


def filters(path, name="array"):
    with h5py.File(path) as file:
        return file[name].compression, file[name].compression_opts, file[name].shuffle


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (None, ("gzip", 4, True)),
        ("gzip", ("gzip", 4, True)),
        ("lzf", ("lzf", None, True)),
        ("none", (None, None, False)),
    ],
)
def test_recipe_chooses_the_filters(configured_store, recipe, expected):
    entry = {
        "formatter": "spherex_butler.formatters.hdf5.HDF5ArrayFormatter",
        "parameters": {} if recipe is None else {"recipe": recipe},
    }
    store = configured_store({"NumpyArray": entry}, include=False)
    array = np.arange(40_000.0)
    ref = store.put(array, "NumpyArray")
    assert filters(store.path(ref)) == expected
    np.testing.assert_array_equal(store.get(ref), array)


def test_small_and_empty_arrays_are_stored_whole(store):
    for array in (np.arange(1000.0), np.zeros((0, 1000)), np.array(1)):
        assert filters(store.path(store.put(array, "HDF5Array"))) == (None, None, False)


def test_configured_recipe_with_an_impossible_filter_is_an_error(configured_store):
    name = "spherex_butler.formatters.hdf5.HDF5ArrayFormatter"
    recipes = {"write_recipes": {name: {"odd": {"compression": "brotli"}}}}
    store = configured_store({"NumpyArray": {"formatter": name, "parameters": {"recipe": "odd"}}} | recipes)
    with pytest.raises(RuntimeError) as caught:
        store.put(np.arange(40_000.0), "NumpyArray")
    assert "HDF5 cannot store 'array' with options {'compression': 'brotli'}" in str(caught.value.__cause__)


def test_array_formatter_alone_in_a_plain_repository(configured_store):
    store = configured_store({"NumpyArray": "spherex_butler.formatters.hdf5.HDF5ArrayFormatter"}, include=False)
    array = np.array([(1, "\u03bc"), (2, "")], "i4,U2")
    ref = store.put(array, "NumpyArray")
    assert store.path(ref).suffix == ".h5"
    assert store.get(ref).dtype == array.dtype
    np.testing.assert_array_equal(store.get(ref), array)

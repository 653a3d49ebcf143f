"""Round trips and subsets of nested mappings and of arrays in HDF5 files."""

from __future__ import annotations

import math
from collections import OrderedDict

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spherex_butler.formats.hdf5.nodes import new_file, open_file
from spherex_butler.formats.hdf5.tree import read_tree, select, write_tree

FIELDS = [("name", "U5"), ("when", "M8[ms]"), ("grid", ">f4", (2, 3)), ("in", [("ok", "?"), ("note", "U2")])]

ARRAYS = {
    **{f"number {code}": np.arange(3).astype(code) for code in "?bBhHiIlLqQefdgFDG"},
    "bytes": np.array([b"a", b"", b"abc"]),
    "unicode": np.array([["", "zodi", "\u03bcm"], ["\U0001f30c", "a\0b", "\ud800"]]),
    "times": np.array(["NaT", "2025-05-01T00:00:00.123"], "M8[ms]"),
    "durations": np.array([1, -1], "m8[us]"),
    "opaque": np.array([b"ab\0", b"cd"], "V4"),
    "packed": np.array([(1, 2.5), (3, 4.5)], [("a", "i2"), ("b", "f8")]),
    "aligned": np.zeros((2, 2), np.dtype([("a", "i1"), ("b", "c16"), ("c", "?", 2), ("d", "S3")], align=True)),
    "fields": np.zeros((2, 2), FIELDS),
    "empty": np.zeros((0, 3), "f4"),
    "empty unicode": np.zeros((2, 0), "U7"),
    "no dimension": np.array(3),
    "text of no dimension": np.array("\u03bc"),
    "fields of no dimension": np.zeros((), FIELDS),
    "strided": np.arange(20.0).reshape(4, 5)[::2, ::-1].T,
    "large": np.arange(40_000, dtype="i2").reshape(200, 200),
}

SCALARS = {
    "none": None,
    "bool": True,
    "int": -3,
    "big int": 2**70,
    "big negative int": -(2**63) - 1,
    "float": 0.1,
    "infinity": -math.inf,
    "complex": 1 - 2j,
    "str": "\u03bcm",
    "empty str": "",
    "str with NUL": "a\0",
    "str with surrogate": "\ud800",
    "bytes": b"a\0\0",
    "empty bytes": b"",
    "numpy bool": np.True_,
    "numpy int": np.uint8(7),
    "numpy float": np.float32(0.1),
    "numpy str": np.str_("x"),
    "numpy bytes": np.bytes_(b"x\0"),
    "numpy time": np.datetime64("2025-05-01"),
    "numpy void": np.array((1, "a"), "i4,U3")[()],
    "list": [1, [None, 2.5], ("a", {"k": (True,)})],
    "empty tuple": (),
}

QUANTITIES = {
    "array": [1.5, 2.5] * u.Unit("MJy / sr"),
    "scalar": 3 * u.um,
    "int": u.Quantity([1, 2], u.adu, dtype=np.int16),
    "logarithmic": u.Quantity([1, 2], u.dex(u.Jy).function_unit),
    "empty": np.zeros(0, "f4") * u.deg,
}


def assert_same(actual, expected):
    """Types, dtypes, shapes, keys in order and values all equal; NaN equals NaN."""
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert [k for k in actual if k != "@attrs"] == [k for k in expected if k != "@attrs"]
        for key, value in expected.items():
            assert_same(actual[key], value)
    elif isinstance(expected, np.ndarray | np.generic):
        assert actual.dtype == expected.dtype.newbyteorder("=")
        assert actual.dtype.metadata is None
        assert actual.shape == expected.shape
        assert getattr(actual, "unit", None) == getattr(expected, "unit", None)
        for name in expected.dtype.names or ():  # NaN in a field is unequal to itself otherwise
            assert_same(actual[name], expected[name])
        if expected.dtype.names is None:
            np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))
    elif isinstance(expected, float | complex) and expected != expected:  # noqa: PLR0124 - NaN
        assert actual != actual  # noqa: PLR0124
    else:
        assert actual == expected


def damage(path, name, *, chunk=-1):
    """Overwrite one chunk of a dataset, so that reading it cannot go unnoticed."""
    with h5py.File(path) as file:
        chunks = [file[name].id.get_chunk_info(i) for i in range(file[name].id.get_num_chunks())]
    with path.open("r+b") as stream:
        stream.seek(chunks[chunk].byte_offset)
        stream.write(b"\xff" * chunks[chunk].size)


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_array_keeps_dtype_shape_and_values(store, array):
    ref = store.put(array, "HDF5Array")
    assert_same(store.get(ref), array)
    assert store.get(ref, "shape") == list(array.shape)
    assert store.get(ref, "dtype") == array.dtype.newbyteorder("=")
    assert store.path(ref).suffix == ".h5"


def test_all_leaves_keep_type_and_order(store):
    tree = {"arrays": ARRAYS, "scalars": SCALARS, "more": {"quantities": QUANTITIES, "none": {}}}
    assert_same(store.round_trip(tree, "HDF5"), tree)


def test_big_endian_comes_back_native(store):
    array = np.arange(5, dtype=">f4")
    assert store.round_trip(array, "HDF5Array").dtype.isnative
    assert store.round_trip({"a": array * u.m}, "HDF5")["a"].dtype.isnative


def test_memory_map_and_mappings_come_back_plain(store, tmp_path):
    memmap = np.memmap(tmp_path / "raw", "i4", "w+", shape=(3,))
    tree = store.round_trip({"map": memmap, "ordered": OrderedDict(b=1, a=2)}, "HDF5")
    assert type(tree["map"]) is np.ndarray
    assert type(tree["ordered"]) is dict
    assert list(tree["ordered"]) == ["b", "a"]


def test_quantity_put_as_array_stays_a_quantity(store):
    assert_same(store.round_trip([1, 2] * u.Jy, "HDF5Array"), [1, 2] * u.Jy)


def test_tables_are_leaves(store):
    flat, rich = Table({"a": [1, 2]}, meta={"k": 1}), QTable({"q": [1.5] * u.um})
    ref = store.put({"group": {"flat": flat}, "rich": rich}, "HDF5")
    tree = store.get(ref)
    assert type(tree["group"]["flat"]) is Table
    assert tree["group"]["flat"].meta == {"k": 1}
    assert tree["rich"]["q"].unit == u.um
    assert store.get(ref, "keys") == ["group/flat", "rich"]
    assert store.get(ref, "shapes") == {"group/flat": (2,), "rich": (1,)}


def test_attributes_of_every_kind_and_size(store):
    attributes = {**SCALARS, **ARRAYS, **QUANTITIES, "dict": {"a": [1]}, "long": "x" * 100_000, "a/b": 1}
    tree = {"@attrs": attributes, "group": {"@attrs": {"x": 1}, "leaf": 2}, "bare": {"@attrs": {}}}
    ref = store.put(tree, "HDF5")
    assert_same(store.get(ref), tree)
    assert list(store.get(ref)["@attrs"]) == list(attributes)
    assert_same(store.get(ref, "attributes"), {"": attributes, "group": {"x": 1}, "bare": {}})
    assert list(store.get(ref, "attributes", keys="group")) == ["", "group"]


def test_member_named_like_attributes_is_escaped(store):
    tree = {"@attrs": {"x": 1}, "@@attrs": {"y": 2}, "@@@attrs": 3, "@attributes": 4}
    ref = store.put(tree, "HDF5")
    assert_same(store.get(ref), tree)
    with h5py.File(store.path(ref)) as file:
        assert set(file) == {"@attrs", "@@attrs", "@attributes"}


def test_files_have_the_same_bytes_each_time(store):
    tree = {"a": np.arange(50_000.0), "g": {"@attrs": {"x": "y"}, "t": Table({"a": ["x"]})}}
    first, second = (store.path(store.put(tree, "HDF5")).read_bytes() for _ in range(2))
    assert first == second


# Subsets.

TREE = {
    "@attrs": {"root": 1},
    "image": np.arange(12).reshape(3, 4),
    "maps": {"@attrs": {"unit": "um"}, "cwave": np.arange(6.0).reshape(2, 3), "note": "x", "deep": {"a": np.arange(5)}},
    "names": np.array(["a", "b", "c"]),
    "table": Table({"n": [1, 2, 3]}),
    "empty": {},
}


@pytest.fixture(scope="module")
def tree_ref(store):
    return store.put(TREE, "HDF5")


@pytest.mark.parametrize(
    ("keys", "paths"),
    [
        ("image", ["image"]),
        ("maps", ["maps/cwave", "maps/note", "maps/deep/a"]),
        ("maps/*", ["maps/cwave", "maps/note", "maps/deep/a"]),
        ("*/cwave", ["maps/cwave"]),
        (["names", "maps/deep"], ["maps/deep/a", "names"]),
        ("empty", []),
    ],
)
def test_keys_select_leaves_and_all_under_a_group(store, tree_ref, keys, paths):
    assert store.get(tree_ref, "keys", keys=keys) == paths
    assert list(store.get(tree_ref, "shapes", keys=keys)) == paths


def test_subset_keeps_nesting_and_attributes(store, tree_ref):
    expected = {
        "@attrs": {"root": 1},
        "maps": {"@attrs": {"unit": "um"}, "note": "x", "deep": {"a": np.arange(5)}},
        "empty": {},
    }
    assert_same(store.get(tree_ref, keys=["maps/note", "maps/deep", "empty"]), expected)


def test_slices_apply_to_every_array(store, tree_ref):
    tree = store.get(tree_ref, slices=slice(1, None))
    assert_same(tree["image"], TREE["image"][1:])
    assert_same(tree["maps"]["cwave"], TREE["maps"]["cwave"][1:])
    assert_same(tree["names"], TREE["names"][1:])
    assert tree["maps"]["note"] == "x"
    assert len(tree["table"]) == 3
    shapes = {"image": (2, 4), "maps/cwave": (1, 3), "maps/note": (), "maps/deep/a": (4,), "names": (2,), "table": (3,)}
    assert store.get(tree_ref, "shapes", slices=slice(1, None)) == shapes


def test_slices_by_path_glob_and_group(store, tree_ref):
    slices = {
        "maps": slice(1),
        "image": (slice(None, None, 2), slice(-2, None)),
        "table": slice(2),
        "n*s": slice(9, 20),
    }
    tree = store.get(tree_ref, slices=slices)
    assert_same(tree["image"], TREE["image"][::2, -2:])
    assert_same(tree["maps"]["cwave"], TREE["maps"]["cwave"][:1])
    assert_same(tree["maps"]["deep"]["a"], TREE["maps"]["deep"]["a"][:1])
    assert_same(tree["names"], TREE["names"][9:20])
    assert list(tree["table"]["n"]) == [1, 2]
    assert store.get(tree_ref, "shapes", slices=slices)["table"] == (2,)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"keys": "nothing"}, "There is no key 'nothing'"),
        ({"slices": {"nothing": slice(1)}}, "There is no key 'nothing'"),
        ({"keys": "maps", "slices": {"image": slice(1)}}, "There is no key 'image'"),
        ({"slices": 3}, "slices=3 is not a slice"),
        ({"slices": slice(None, None, -1)}, "is not a slice with a positive step"),
        ({"slices": (slice(1), slice(1))}, r"has 2 dimensions, but 'maps/deep/a' has shape \(5,\)"),
        ({"slices": {"maps/note": slice(1)}}, r"has 1 dimensions, but 'maps/note' has shape \(\)"),
        ({"slices": {"table": 1}}, "slices=1 is not a slice"),
    ],
)
def test_wrong_parameter_is_an_error_that_names_it(store, tree_ref, parameters, message):
    with pytest.raises(ValueError, match=message):
        store.get(tree_ref, **parameters)


def test_unknown_parameter_is_refused(store, tree_ref):
    with pytest.raises(KeyError, match="rows"):
        store.get(tree_ref, rows=slice(1))


@pytest.mark.parametrize(
    ("slices", "index"),
    [
        (slice(2, 40, 3), np.s_[2:40:3]),
        ((slice(None), slice(-5, None)), np.s_[:, -5:]),
        (slice(150, 20), np.s_[150:20]),
        ((slice(0, 0), slice(0, 3)), np.s_[0:0, 0:3]),
    ],
)
@pytest.mark.parametrize("name", ["large", "fields", "unicode", "empty"])
def test_array_slices_are_those_of_numpy(store, name, slices, index):
    ref = store.put(ARRAYS[name], "HDF5Array")
    assert_same(store.get(ref, slices=slices), ARRAYS[name][index])
    assert store.get(ref, "shape", slices=slices) == list(ARRAYS[name][index].shape)


def test_too_many_slices_of_an_array_are_refused(store):
    ref = store.put(np.arange(3), "HDF5Array")
    with pytest.raises(ValueError, match=r"'array' has shape \(3,\); give no more slices"):
        store.get(ref, slices=(slice(1), slice(1)))


def test_array_subset_reads_only_its_chunks(store):
    ref = store.put(np.random.default_rng(1).normal(size=(400, 400)), "HDF5Array")
    whole = store.get(ref)
    damage(store.path(ref), "array")
    np.testing.assert_array_equal(store.get(ref, slices=(slice(10), slice(10))), whole[:10, :10])
    assert store.get(ref, "shape") == [400, 400]
    with pytest.raises(ValueError, match=r"'array' cannot be read: .*The file is damaged"):
        store.get(ref)


def test_tree_subset_reads_only_its_datasets(store):
    tree = {"a": np.arange(50_000.0), "b": {"c": np.arange(50_000.0)}}
    ref = store.put(tree, "HDF5")
    damage(store.path(ref), "b/c")
    assert_same(store.get(ref, keys="a"), {"a": tree["a"]})
    assert_same(store.get(ref, slices={"b/c": slice(10)})["b"]["c"], tree["b"]["c"][:10])
    assert store.get(ref, "shapes") == {"a": (50_000,), "b/c": (50_000,)}
    with pytest.raises(ValueError, match="'b/c' cannot be read"):
        store.get(ref)


def test_no_file_is_open_after_get(store, tree_ref):
    store.get(tree_ref)
    with pytest.raises(ValueError, match="There is no key"):
        store.get(tree_ref, keys="nothing")
    kinds = h5py.h5f.OBJ_FILE | h5py.h5f.OBJ_GROUP | h5py.h5f.OBJ_DATASET | h5py.h5f.OBJ_ATTR
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, kinds) == 0


# Any tree.

dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(),
    npst.floating_dtypes(),
    npst.complex_number_dtypes(),
    npst.unicode_string_dtypes(max_len=4),
    npst.byte_string_dtypes(max_len=4),
    npst.datetime64_dtypes(),
    npst.timedelta64_dtypes(),
)


def has_plain_names(dtype):
    """Whether HDF5 can hold the names of the fields."""
    return all(name.encode(errors="ignore").decode() == name and "\0" not in name for name in dtype.names)


arrays = npst.arrays(
    st.one_of(dtypes, npst.array_dtypes(dtypes, max_size=3, allow_subarrays=True).filter(has_plain_names)),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=8),
    st.binary(max_size=8),
)
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4))
lists = st.lists(st.one_of(plain, st.lists(plain, max_size=2), st.tuples(plain)), max_size=3)
leaves = st.one_of(arrays, scalars, lists, dtypes.flatmap(npst.from_dtype))
keys = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=4)
names = keys.filter(lambda key: key not in {".", "@attrs"})
attributes = st.dictionaries(keys, leaves, max_size=2)


def with_attributes(children):
    return st.builds(
        lambda members, attrs: members if attrs is None else {**members, "@attrs": attrs},
        st.dictionaries(names, children, max_size=3),
        st.none() | attributes,
    )


trees = with_attributes(st.recursive(leaves, with_attributes, max_leaves=6))


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(tree=trees)
def test_any_tree_comes_back_as_it_was(tmp_path_factory, tree):
    path = str(tmp_path_factory.getbasetemp() / "tree.h5")
    with new_file(path) as file:
        write_tree(file, tree, {})
    with open_file(path) as file:
        assert_same(read_tree(select(file)), tree)

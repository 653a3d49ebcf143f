"""Values in HDF5 files: what comes back, what is refused, and what files of earlier code hold."""

from __future__ import annotations

import json
import math
from collections import OrderedDict

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.coordinates import Angle
from astropy.table import Table
from hdf5_files import assert_same, read, written
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spherex_butler.errors import FormatError
from spherex_butler.formats.hdf5.values import decode, encode

FIELDS = [("name", "U5"), ("when", "M8[ms]"), ("grid", ">f4", (2, 3)), ("in", [("ok", "?"), ("note", "U2")])]

ARRAYS = {
    **{f"number {code}": np.arange(3).astype(code) for code in "?bBhHiIlLqQefdgFDG"},
    "big-endian": np.arange(5, dtype=">f4"),
    "bytes": np.array([b"a", b"", b"abc"]),
    "unicode": np.array([["", "zodi", "\u03bcm"], ["\U0001f30c", "a\0b", "x"]]),
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
}

SCALARS = {
    "none": None,
    "bool": True,
    "int": -3,
    "largest int": 2**64 - 1,
    "smallest int": -(2**63),
    "float": 0.1,
    "infinity": -math.inf,
    "complex": 1 - 2j,
    "str": "\u03bcm",
    "empty str": "",
    "bytes": b"a\0\0",
    "empty bytes": b"",
    "numpy bool": np.True_,
    "numpy int": np.uint8(7),
    "numpy float": np.float32(0.1),
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
    "big-endian": np.arange(5, dtype=">f4") * u.m,
}


@pytest.mark.parametrize("values", [ARRAYS, SCALARS, QUANTITIES], ids=["arrays", "scalars", "quantities"])
def test_values_and_attributes_keep_type_dtype_and_order(tmp_path, values):
    tree = {**values, "group": {"@attrs": {**values, "dict": {"a": [1]}, "long": "x" * 100_000, "a/b": 1}}}
    found = read(written(tmp_path / "values.h5", tree))
    assert_same(found, tree)
    assert list(found["group"]["@attrs"]) == list(tree["group"]["@attrs"])


def test_what_comes_back_as_the_plain_type(tmp_path):
    memmap = np.memmap(tmp_path / "raw", "i4", "w+", shape=(3,))
    tree = {"map": memmap, "ordered": OrderedDict(b=1, a=2), "str": np.str_("x"), "bytes": np.bytes_(b"x")}
    expected = {"map": np.zeros(3, "i4"), "ordered": {"b": 1, "a": 2}, "str": "x", "bytes": b"x"}
    assert_same(read(written(tmp_path / "plain.h5", tree)), expected)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"b": np.array([{}], object)}}, "'a/b' has dtype dtype.'O'.: it holds Python objects"),
        ({"a": np.zeros(2, [("x", "i4"), ("y", "O")])}, "'a' has dtype .*Python objects"),
        ({"a": np.zeros(2, [])}, "'a' has dtype .* holds nothing"),
        ({"a": np.zeros(2, [("x\0", "i4")])}, "A field of 'a' has the name 'x.x00'; expected"),
        ({"a": np.zeros(2, [(("title", "x"), "i4")])}, "The field 'x' of 'a' has the title 'title'; expected fields"),
        ({"a": {"b": {1, 2}}}, "'a/b' is a builtins.set, which this format does not store"),
        ({"a": np.ma.array([1, 2])}, "'a' is a numpy.ma.*MaskedArray, which"),
        ({"a": Angle(1, "deg")}, "'a' is a astropy.coordinates.angles.core.Angle, which"),
        ({"a": 2**64}, "'a' is an integer of 65 bits, which the 64 bits of HDF5 cannot hold; store it as a str or"),
        ({"a": -(2**70)}, "'a' is an integer of 71 bits, which"),
        ({"a": [10**5000]}, "'a' is an integer of 16610 bits"),
        ({"a": "a\0b"}, "'a' is text with a NUL"),
        ({"a": "\ud800"}, "'a' holds text that is not valid Unicode: .* surrogates not allowed. Store it"),
        ({"a": np.array(["\ud800"])}, "'a' holds text that is not valid Unicode: .* surrogates not allowed. Store it"),
        ({"a": [np.arange(3)]}, "'a' holds a numpy.ndarray within a list"),
        ({"a": [{1: 2}]}, "'a' holds a builtins.dict within a list"),
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
def test_what_cannot_be_stored_is_refused_by_name(tmp_path, tree, message):
    with pytest.raises(FormatError, match=message):
        written(tmp_path / "refused.h5", {"first": np.arange(3), **tree})


TITLED = {"names": ["x"], "formats": ["<M8[s]"], "offsets": [0], "titles": ["when"], "itemsize": 8}
UTF8 = np.frombuffer("a\0\ud800".encode("utf-8", "surrogatepass"), "u1")


@pytest.mark.parametrize(
    ("stored", "tags", "value"),
    [
        (hex(2**70), {"kind": "int"}, 2**70),
        (UTF8, {"kind": "str"}, "a\0\ud800"),
        ("x", {"kind": "numpy.str"}, "x"),
        (np.frombuffer(b"x\0", "u1"), {"kind": "numpy.bytes"}, b"x\0"),
        (np.array(["\ud800".encode("utf-8", "surrogatepass")]), {"dtype": "<U1"}, np.array(["\ud800"])),
        (np.zeros(1, [("x", "i8")]), {"dtype": TITLED}, np.zeros(1, np.dtype({**TITLED, "formats": ["M8[s]"]}))),
    ],
    ids=["int", "str", "numpy.str", "numpy.bytes", "surrogates", "titles"],
)
def test_what_only_earlier_code_wrote_is_read(tmp_path, stored, tags, value):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["a"] = stored
        file["a"].attrs["spherex_butler"] = json.dumps(tags)
    assert_same(read(tmp_path / "old.h5"), {"a": value})


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
letters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
text = st.text(letters, max_size=8)
names = st.text(letters, min_size=1, max_size=4).filter(lambda name: name not in {".", "@attrs"})
fields = st.lists(st.tuples(names, dtypes, npst.array_shapes(max_dims=2, max_side=2)), min_size=1, max_size=3)
structured = fields.filter(lambda found: len({name for name, *_ in found}) == len(found)).map(np.dtype)
arrays = npst.arrays(dtypes | structured, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
integers = st.integers(-(2**63), 2**64 - 1)
scalars = st.one_of(st.none(), st.booleans(), integers, st.floats(), st.complex_numbers(), text, st.binary(max_size=8))
plain = st.one_of(st.none(), st.booleans(), integers, st.floats(allow_nan=False), st.text(max_size=4))
lists = st.lists(st.one_of(plain, st.lists(plain, max_size=2), st.tuples(plain)), max_size=3)
leaves = st.one_of(arrays, scalars, lists)
attributes = st.dictionaries(names, leaves, max_size=2)


def with_attributes(children):
    return st.builds(
        lambda members, attrs: members if attrs is None else {**members, "@attrs": attrs},
        st.dictionaries(names, children, max_size=3),
        st.none() | attributes,
    )


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(tree=with_attributes(st.recursive(leaves, with_attributes, max_leaves=6)))
def test_any_tree_comes_back_as_it_was(tmp_path_factory, tree):
    assert_same(read(written(tmp_path_factory.getbasetemp() / "tree.h5", tree)), tree)


@pytest.mark.parametrize(
    "text",
    [
        np.array(["a", "", "b c", "longer than the others"]),
        np.array([["x", "yy"], ["zzz", ""]]),
        np.array(["plain", "é", "日本", "\U0001f52d"]),
        np.array(["", ""]),
        np.array([], dtype="U7"),
        np.array(["inside \0 of it", "b"]),
    ],
    ids=["ascii", "matrix", "unicode", "empty", "none", "nul"],
)
def test_text_keeps_its_characters_and_width(text):
    stored, tags = encode(text, "it")
    found = decode(stored, stored.dtype, tags, "it")
    assert found.dtype == text.dtype
    np.testing.assert_array_equal(found, text)

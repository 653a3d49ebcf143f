"""Nested mappings in HDF5 files: parts of them, and files that are damaged, too new, or were written by others."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from astropy.table import Table
from hdf5_files import assert_same, damage, read, shapes, written

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.formats.hdf5.nodes import Node, open_file

TREE = {
    "@attrs": {"root": 1},
    "image": np.arange(12).reshape(3, 4),
    "maps": {"@attrs": {"unit": "um"}, "cwave": np.arange(6.0).reshape(2, 3), "note": "x", "deep": {"a": np.arange(5)}},
    "names": np.array(["a", "b", "c"]),
    "table": Table({"n": [1, 2, 3]}),
    "empty": {},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return written(tmp_path_factory.mktemp("tree") / "tree.h5", TREE)


def test_member_named_like_attributes_is_escaped(tmp_path):
    tree = {"@attrs": {"x": 1}, "@@attrs": {"y": 2}, "@@@attrs": 3, "@attributes": 4}
    path = written(tmp_path / "escaped.h5", tree)
    assert_same(read(path), tree)
    with h5py.File(path) as file:
        assert set(file) == {"@attrs", "@@attrs", "@attributes"}


def test_files_have_the_same_bytes_each_time(tmp_path):
    tree = {"a": np.arange(50_000.0), "g": {"@attrs": {"x": "y"}, "t": Table({"a": ["x"]})}}
    first, second = (written(tmp_path / name, tree).read_bytes() for name in ("first", "second"))
    assert first == second


# Parts.


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
def test_keys_select_leaves_and_all_under_a_group(path, keys, paths):
    assert list(shapes(path, keys=keys)) == paths


def test_subset_keeps_nesting_and_attributes(path):
    expected = {
        "@attrs": {"root": 1},
        "maps": {"@attrs": {"unit": "um"}, "note": "x", "deep": {"a": np.arange(5)}},
        "empty": {},
    }
    assert_same(read(path, keys=["maps/note", "maps/deep", "empty"]), expected)


def test_slices_apply_to_every_array(path):
    tree = read(path, slices=slice(1, None))
    assert_same(tree["image"], TREE["image"][1:])
    assert_same(tree["maps"]["cwave"], TREE["maps"]["cwave"][1:])
    assert tree["maps"]["note"] == "x"
    assert len(tree["table"]) == 3
    expected = {"image": (2, 4), "maps/cwave": (1, 3), "maps/note": (), "maps/deep/a": (4,), "names": (2,)}
    assert shapes(path, slices=slice(1, None)) == expected | {"table": (3,)}


def test_slices_by_path_and_glob(path):
    slices = {"image": (slice(None, None, 2), slice(-2, None)), "table": slice(2), "n*s": slice(9, 20)}
    tree = read(path, slices=slices)
    assert_same(tree["image"], TREE["image"][::2, -2:])
    assert_same(tree["maps"]["cwave"], TREE["maps"]["cwave"])
    assert_same(tree["names"], TREE["names"][9:20])
    assert list(tree["table"]["n"]) == [1, 2]
    assert shapes(path, slices=slices)["table"] == (2,)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"keys": "nothing"}, "There is no key 'nothing'"),
        ({"slices": {"nothing": slice(1)}}, "There is no key 'nothing'"),
        ({"keys": "maps", "slices": {"image": slice(1)}}, "There is no key 'image'"),
        ({"slices": 3}, "slices=3 is not a slice"),
        ({"slices": slice(None, None, -1)}, "is not a slice with a positive step"),
        ({"slices": (slice(1),) * 2}, r"has 2 dimensions, but 'maps/deep/a' has shape \(5,\); give no more slices"),
        ({"slices": {"maps/note": slice(1)}}, r"has 1 dimensions, but 'maps/note' has shape \(\)"),
        ({"slices": {"table": 1}}, "slices=1 is not a slice"),
    ],
)
def test_wrong_parameter_is_an_error_that_names_it(path, parameters, message):
    with pytest.raises(ParameterError, match=message):
        read(path, **parameters)


@pytest.mark.parametrize("index", [np.s_[2:40:3], np.s_[:, -5:], np.s_[150:20], np.s_[0:0, 0:3]])
def test_slices_are_those_of_numpy(tmp_path, index):
    fields = np.zeros((20, 4), [("name", "U5"), ("grid", "f4", (2, 3))])
    tree = {"large": np.arange(40_000, dtype="i2").reshape(200, 200), "fields": fields, "empty": np.zeros((0, 3))}
    path = written(tmp_path / "slices.h5", tree)
    assert_same(read(path, slices=index), {name: array[index] for name, array in tree.items()})
    assert shapes(path, slices=index) == {name: array[index].shape for name, array in tree.items()}


def test_only_the_datasets_and_chunks_asked_for_are_read(tmp_path):
    tree = {"a": np.arange(50_000.0), "b": {"c": np.random.default_rng(1).normal(size=(400, 400))}}
    path = written(tmp_path / "damaged.h5", tree, {"compression": "gzip"})
    damage(path, "b/c")
    assert_same(read(path, keys="a"), {"a": tree["a"]})
    corner = (slice(10), slice(10))
    assert_same(read(path, slices={"b/c": corner})["b"]["c"], tree["b"]["c"][corner])
    assert shapes(path) == {"a": (50_000,), "b/c": (400, 400)}
    with pytest.raises(FormatError, match=r"'b/c' cannot be read: .*The file is damaged"):
        read(path)


def test_no_file_is_open_after_reading(path):
    read(path)
    with pytest.raises(ParameterError, match="There is no key"):
        read(path, keys="nothing")
    kinds = h5py.h5f.OBJ_FILE | h5py.h5f.OBJ_GROUP | h5py.h5f.OBJ_DATASET | h5py.h5f.OBJ_ATTR
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, kinds) == 0


# Damaged files, and those of others.

TEXT = h5py.string_dtype()


@pytest.fixture
def foreign(tmp_path):
    """Return a new open file; `read_foreign` closes it."""
    with h5py.File(tmp_path / "foreign.hdf5", "w") as file:
        yield file


def read_foreign(file, **parameters):
    path = file.filename
    file.close()
    return read(path, **parameters)


def test_damage_anywhere_gives_no_other_error_than_ours(tmp_path):
    tree = {"@attrs": {"x": 1}, "a": np.arange(20), "b": {"c": "text", "t": Table({"a": ["x", "y"]})}}
    path = written(tmp_path / "damaged.h5", tree)
    whole, rng, failures = path.read_bytes(), np.random.default_rng(3), 0
    for offset in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:offset] + bytes(rng.integers(0, 256, 4, np.uint8)) + whole[offset + 4 :])
        try:
            read(path)
        except FormatError:
            failures += 1
    assert failures > 5


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("{", "Attribute 'spherex_butler' of 'a' is '{'; expected a JSON object"),
        ("3", "Attribute 'spherex_butler' of 'a' is '3'; expected a JSON object"),
        ('{"kind": "list"}', "'a' is of kind 'list'; expected one of .*newer spherex-butler"),
        ('{"kind": "str"}', "'a' is damaged: its tags {'kind': 'str'} do not fit what is stored"),
        ('{"dtype": "|O"}', "'a' is damaged: .*is not stored for dtype.'O'."),
        ('{"dtype": {"names": ["x"], "formats": ["O"]}}', "'a' is damaged"),
        ('{"kind": "quantity"}', "'a' is damaged: .*'unit'"),
    ],
)
def test_tags_that_do_not_fit(foreign, tags, message):
    foreign["a"] = np.arange(3)
    foreign["a"].attrs["spherex_butler"] = tags
    with pytest.raises(FormatError, match=message):
        read_foreign(foreign)


def test_newer_format_version(foreign):
    foreign.attrs["spherex_butler"] = json.dumps({"format": 2})
    with pytest.raises(FormatError, match=r"format version 2; this spherex-butler reads versions up to 1\. Upgrade"):
        read_foreign(foreign)


def test_plain_groups_and_datasets_read_as_nested_dict(foreign):
    foreign["g/big"] = np.arange(4, dtype=">f4")
    foreign["g/scalar"] = 3.5
    foreign["g/text"] = "\u03bcm"
    foreign["g/texts"] = np.array(["a", "\u03bc"], TEXT)
    foreign["g/fixed"] = np.array([b"a", b"\xc3\xa9"], h5py.string_dtype("utf-8", 2))
    foreign["g/bytes"] = np.array([b"a", b"b"])
    foreign["g/null"] = h5py.Empty("f4")
    foreign["g/enum"] = np.array([1, 0], h5py.enum_dtype({"ON": 1, "OFF": 0}, "i1"))
    foreign["type"] = np.dtype("f4")
    foreign.create_dataset("no text", (0,), TEXT)
    group = {
        "big": np.arange(4, dtype="f4"),
        "bytes": np.array([b"a", b"b"]),
        "enum": np.array([1, 0], "i1"),
        "fixed": np.array(["a", "\u00e9"]),
        "null": None,
        "scalar": np.float64(3.5),
        "text": "\u03bcm",
        "texts": np.array(["a", "\u03bc"]),
    }
    assert_same(read_foreign(foreign), {"g": group, "no text": np.zeros(0, "U1")})


def test_attributes_of_others_without_references(foreign):
    foreign.attrs["title"] = "x"
    foreign.attrs["fixed"] = np.array(b"y", h5py.string_dtype("utf-8", 1))
    foreign["a"] = np.arange(3)
    foreign["a"].attrs["units"] = np.array(["um"], TEXT)
    foreign["a"].attrs["scale"] = foreign["a"].ref
    foreign["@attrs"] = 1
    path = foreign.filename
    tree = read_foreign(foreign)
    assert tree["@attrs"] == {"fixed": "y", "title": "x"}
    assert tree["@@attrs"] == 1
    with open_file(path) as file:
        assert_same(Node.of(file["a"], "a").attributes(), {"units": np.array(["um"])})


def links(file):
    file["good"] = 1
    file["within/file"] = h5py.SoftLink("/good")
    file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
    file["nowhere"] = h5py.SoftLink("/nothing")
    file["loop/root"] = h5py.SoftLink("/")
    file["reference"] = np.array([file["good"].ref], h5py.ref_dtype)
    file.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))
    file.create_dataset("raw", (2,), "u1", external=[("/etc/passwd", 0, 2)])
    layout = h5py.VirtualLayout((1,), "i4")
    layout[0] = h5py.VirtualSource("/etc/passwd", "x", ())
    file.create_virtual_dataset("virtual", layout)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("elsewhere", "'elsewhere' is not a dataset, but damaged or a reference to data elsewhere .another file"),
        ("nowhere", "'nowhere' is not a dataset, but .* elsewhere .another file, nothing"),
        ("loop", "'loop/root' is not a dataset, but .* a group around it"),
        ("raw", "'raw' is not a dataset, .*; expected data in the file itself"),
        ("virtual", "'virtual' is not a dataset"),
        ("reference", "'reference' holds items of variable length or references"),
        ("ragged", "'ragged' holds items of variable length or references"),
    ],
)
def test_data_that_are_elsewhere_stop_only_who_asks_for_them(foreign, key, message):
    links(foreign)
    path = foreign.filename
    assert read_foreign(foreign, keys=["good", "within"]) == {"good": 1, "within": {"file": 1}}
    with pytest.raises(FormatError, match=message):
        read(path, keys=key)

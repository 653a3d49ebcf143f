"""HDF5 files that are damaged, too new, or were written by others."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from astropy.table import Table

TEXT = h5py.string_dtype()


@pytest.fixture
def foreign(tmp_path):
    """Return an open file that its test fills and then closes."""
    with h5py.File(tmp_path / "foreign.hdf5", "w") as file:
        yield file


def ingested(store, file, storage_class="HDF5"):
    path = file.filename
    file.close()
    return store.ingest(path, storage_class)


def written(store, tmp_path, dataset, storage_class="HDF5"):
    """Return a copy of a file as our formatter writes it."""
    copy = tmp_path / "copy.h5"
    copy.write_bytes(store.path(store.put(dataset, storage_class)).read_bytes())
    return copy


def test_file_that_is_not_hdf5(store, tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("SIMPLE  =                    T")
    with pytest.raises(ValueError, match=r"no HDF5 file: it lacks the HDF5 signature .*Expected a complete HDF5 file"):
        store.get(store.ingest(path, "HDF5"))


@pytest.mark.parametrize("storage_class", ["HDF5Array", "HDF5Table"])
def test_truncated_file(store, tmp_path, storage_class):
    dataset = np.arange(50_000.0) if storage_class == "HDF5Array" else Table({"a": np.arange(50_000.0)})
    copy = written(store, tmp_path, dataset, storage_class)
    copy.write_bytes(copy.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"The file is truncated or damaged .*truncated file"):
        store.get(store.ingest(copy, storage_class))


def test_damage_anywhere_gives_no_other_error_than_ours(store, tmp_path):
    tree = {"@attrs": {"x": 1}, "a": np.arange(20), "b": {"c": "text", "t": Table({"a": ["x", "y"]})}}
    copy = written(store, tmp_path, tree)
    whole = copy.read_bytes()
    rng = np.random.default_rng(3)
    failures = 0
    for offset in rng.integers(0, len(whole), 60):
        copy.write_bytes(whole[:offset] + bytes(rng.integers(0, 256, 4, np.uint8)) + whole[offset + 4 :])
        ref = store.ingest(copy, "HDF5")
        try:
            store.get(ref)
        except ValueError as error:
            failures += 1
            assert type(error.__cause__).__name__ == "FormatError"  # noqa: PT017 - an error is allowed, not required
    assert failures > 5


def test_newer_format_version(store, tmp_path):
    copy = written(store, tmp_path, {"a": 1})
    with h5py.File(copy, "a") as file:
        file.attrs["spherex_butler"] = json.dumps({"format": 2})
    with pytest.raises(ValueError, match=r"has format version 2; this spherex-butler reads versions up to 1\. Upgrade"):
        store.get(store.ingest(copy, "HDF5"))


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
def test_tags_that_do_not_fit(store, foreign, tags, message):
    foreign["a"] = np.arange(3)
    foreign["a"].attrs["spherex_butler"] = tags
    with pytest.raises(ValueError, match=message):
        store.get(ingested(store, foreign))


def test_plain_groups_and_datasets_read_as_nested_dict(store, foreign):
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
    tree = store.get(ingested(store, foreign))
    group = tree["g"]
    assert list(tree) == ["g", "no text"]
    assert group["big"].dtype == np.dtype("=f4")
    assert group["scalar"] == np.float64(3.5)
    assert group["text"] == "\u03bcm"
    assert group["texts"].tolist() == ["a", "\u03bc"]
    assert group["fixed"].tolist() == ["a", "\u00e9"]
    assert group["bytes"].tolist() == [b"a", b"b"]
    assert group["null"] is None
    assert group["enum"].tolist() == [1, 0]
    assert tree["no text"].shape == (0,)


def test_attributes_of_others_without_references(store, foreign):
    foreign.attrs["title"] = "x"
    foreign.attrs["fixed"] = np.array(b"y", h5py.string_dtype("utf-8", 1))
    foreign["a"] = np.arange(3)
    foreign["a"].attrs["units"] = np.array(["um"], TEXT)
    foreign["a"].attrs["scale"] = foreign["a"].ref
    foreign["@attrs"] = 1
    ref = ingested(store, foreign)
    tree = store.get(ref)
    assert tree["@attrs"] == {"fixed": "y", "title": "x"}
    assert tree["@@attrs"] == 1
    attributes = store.get(ref, "attributes")
    assert attributes[""] == tree["@attrs"]
    assert list(attributes["a"]) == ["units"]
    assert attributes["a"]["units"].tolist() == ["um"]


def test_soft_links_within_the_file_are_followed(store, foreign):
    foreign["a"] = np.arange(3)
    foreign["g/b"] = h5py.SoftLink("/a")
    assert store.get(ingested(store, foreign))["g"]["b"].tolist() == [0, 1, 2]


def links(file):
    file["good"] = 1
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
        ("elsewhere", "'elsewhere' is a link to '/x' in the file '/etc/passwd'; expected data in the file itself"),
        ("nowhere", "'nowhere' is a broken link or damaged"),
        ("loop", "'loop/root' is a link to a group that holds it; expected a tree"),
        ("reference", "'reference' holds items of variable length or references"),
        ("ragged", "'ragged' holds items of variable length or references"),
        ("raw", "'raw' keeps its data in other files"),
        ("virtual", "'virtual' keeps its data in other files"),
    ],
)
def test_what_is_no_data_of_the_file_stops_only_who_asks_for_it(store, foreign, key, message):
    links(foreign)
    ref = ingested(store, foreign)
    assert store.get(ref, keys="good") == {"good": 1}
    assert store.get(ref, "attributes") == {}
    with pytest.raises(ValueError, match=message):
        store.get(ref, keys=key)


@pytest.mark.parametrize(
    ("members", "storage_class", "message"),
    [
        (
            {"a": 1, "b": 2},
            "HDF5Table",
            r"has no 'table' and no single member .*\['a', 'b'\]; read it as storage class HDF5",
        ),
        ({}, "HDF5Array", r"has no 'array' and no single member to take for it, but \[\]"),
        ({"a": np.arange(3)}, "HDF5Table", "'a' is no table of this format; read the file as storage class HDF5"),
        ({"a/b": np.arange(3)}, "HDF5Array", "'a' is no array; read the file as storage class HDF5"),
        ({"array": "text"}, "HDF5Array", "'array' is no array; read the file as storage class HDF5"),
    ],
)
def test_file_of_another_storage_class(store, foreign, members, storage_class, message):
    for name, value in members.items():
        foreign[name] = value
    with pytest.raises(ValueError, match=message):
        store.get(ingested(store, foreign, storage_class))


def test_only_dataset_of_a_file_is_its_array(store, foreign):
    foreign["image"] = np.arange(6, dtype=">i2").reshape(2, 3)
    ref = ingested(store, foreign, "HDF5Array")
    assert store.get(ref, slices=slice(1)).tolist() == [[0, 1, 2]]
    assert store.get(ref, "dtype") == np.dtype("=i2")
    assert store.get(ref, "shape") == [2, 3]


def test_tree_formatter_reads_tables_and_arrays_too(store, tmp_path):
    table = store.ingest(written(store, tmp_path, Table({"a": [1]}), "HDF5Table"), "HDF5")
    array = store.ingest(written(store, tmp_path, np.arange(2), "HDF5Array"), "HDF5")
    assert list(store.get(table)["table"]["a"]) == [1]
    assert store.get(array)["array"].tolist() == [0, 1]


def test_component_the_formatter_lacks_is_an_error(configured_store):
    # daf_butler's ArrowNumpy is an array with the components of a table.
    store = configured_store({"ArrowNumpy": "spherex_butler.formatters.hdf5.HDF5ArrayFormatter"}, include=False)
    ref = store.put(np.arange(3), "ArrowNumpy")
    with pytest.raises(
        ValueError, match=r"HDF5ArrayFormatter has no component 'rowcount'; expected one of \['dtype', "
    ):
        store.get(ref, "rowcount")

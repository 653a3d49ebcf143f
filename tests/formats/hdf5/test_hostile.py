"""Small files that would take all time or memory, and tags of the wrong kind, are refused in words."""

from __future__ import annotations

import json

import h5py
import hdf5_files
import numpy as np
import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.hdf5.nodes import DEEPEST


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hostile.h5"


def tagged(path, tags, data=b"text"):
    """Write a dataset with tags as they come."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", data=data)
        dataset.attrs["spherex_butler"] = tags if isinstance(tags, bytes | str | int) else json.dumps(tags)
    return path


@pytest.mark.parametrize("soft", [False, True])
def test_groups_that_hold_the_next_one_twice_do_not_multiply_without_end(path, soft):
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(30):  # 2³⁰ paths in 20 kB
            inner = group.create_group("a")
            group["b"] = h5py.SoftLink(inner.name) if soft else inner
            group = inner
    with pytest.raises(FormatError, match=r"links have led 1001 times to what was met before"):
        hdf5_files.read(path)


def test_links_that_are_few_are_followed(path):
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(3)
        for number in range(1000):
            file[f"link{number}"] = file["a"]
    found = hdf5_files.read(path)
    assert len(found) == 1001
    assert found["link999"].tolist() == [0, 1, 2]


def test_groups_may_be_in_each_other_to_a_bound_alone(path):
    with h5py.File(path, "w") as file:
        file.create_group("/".join("a" * 5000))
    with pytest.raises(FormatError, match=r"is in 64 groups; expected fewer in each other"):
        hdf5_files.read(path)


def nested(depth):
    tree = {"value": 1}
    for _ in range(depth):
        tree = {"a": tree}
    return tree


def test_what_is_too_deep_to_be_read_is_not_written(path):
    deepest = nested(DEEPEST - 1)
    assert hdf5_files.read(hdf5_files.written(path, deepest)) == deepest
    with pytest.raises(FormatError, match=r"is in 64 mappings; expected fewer in each other"):
        hdf5_files.written(path, nested(DEEPEST))


def test_mapping_that_holds_itself_is_refused(path):
    tree = {}
    tree["a"] = tree
    with pytest.raises(FormatError, match=r"is in 64 mappings"):
        hdf5_files.written(path, tree)


@pytest.mark.parametrize(
    "dtype",
    [
        "<U100000000",
        ["<f8", [10_000, 10_000]],
        {"names": ["a"], "formats": ["<U4"], "offsets": [0], "itemsize": 2_000_000_000},
    ],
)
def test_types_far_larger_than_what_is_stored_are_refused(path, dtype):
    tagged(path, {"kind": "array", "dtype": dtype}, np.array(b"x"))
    with pytest.raises(FormatError, match=r"'a' takes [\d,]+ bytes as .*, but only 1 bytes are stored"):
        hdf5_files.read(path)


def test_padding_that_could_not_be_read_back_is_not_written(path):
    with pytest.raises(FormatError, match=r"expected at most 64 times as many\. Convert it with astype"):
        hdf5_files.written(path, {"a": np.zeros(1, "U100000000")})


def test_wide_text_that_is_mostly_padding_comes_back(path):
    tree = {"a": np.array(["x", "µ"], "U100000")}
    hdf5_files.assert_same(hdf5_files.read(hdf5_files.written(path, tree)), tree)


@pytest.mark.parametrize("options", [{}, {"chunks": (1024, 1024)}, {"chunks": (1024, 1024), "compression": "gzip"}])
def test_data_that_were_never_stored_do_not_fill_the_memory(path, options):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (400_000, 400_000), "f8", **options)
    with pytest.raises(FormatError, match=r"1,280,000,000,000 bytes would be read, but only 0 bytes are stored"):
        hdf5_files.read(path)
    part = hdf5_files.read(path, slices=(slice(3), slice(2)))["a"]
    assert part.tolist() == [[0, 0], [0, 0], [0, 0]]


def test_zeros_that_compress_well_are_read(path):
    tree = {"a": np.zeros((3000, 3000), "f8")}
    hdf5_files.assert_same(hdf5_files.read(hdf5_files.written(path, tree, {"compression": "gzip"})), tree)


@pytest.mark.parametrize(
    "tags",
    [
        {"kind": 3},
        {"kind": ["array"]},
        {"dtype": 7},
        {"kind": "quantity", "unit": 7},
        {"kind": "table", "rows": "many"},
        {"attributes": "all"},
        [1, 2],
        7,
        "{",
        b"\xff\xfe",
        "[" * 100_000,
    ],
    ids=lambda tags: str(tags)[:30],
)
def test_tags_of_the_wrong_kind_are_told(path, tags):
    tagged(path, tags)
    with pytest.raises(FormatError, match=r"[Tt]ags? .* of 'a'|Attribute 'spherex_butler' of 'a' is"):
        hdf5_files.read(path)


@pytest.mark.parametrize("item", [7, [], ["a"], ["a", 3], [3, {}], ["absent", {}]])
def test_attributes_that_are_listed_wrongly_are_told(path, item):
    with h5py.File(path, "w") as file:
        group = file.create_group("g")
        group.attrs["a"] = 1
        group.attrs["spherex_butler"] = json.dumps({"attributes": [item]})
    with pytest.raises(FormatError, match=r"The attributes of 'g' have .* in their list"):
        hdf5_files.read(path)


def test_message_does_not_repeat_a_long_tag(path):
    tagged(path, "{" + "x" * 50_000)
    with pytest.raises(FormatError) as caught:
        hdf5_files.read(path)
    assert len(str(caught.value)) < 500


def test_no_text_is_of_variable_length(path):
    tree = {"a": (1, 2), "b": {"c": "µm", "empty": "", "@attrs": {"text": "x", "list": [1, "b"]}}}
    hdf5_files.written(path, tree)
    with h5py.File(path) as file:
        text = h5py.check_string_dtype(file.attrs.get_id("spherex_butler").dtype)
        assert text.length is not None
        for name in ("a", "b", "b/c", "b/empty"):
            found = file[name]
            dtypes = [found.attrs.get_id(key).dtype for key in found.attrs]
            dtypes += [found.dtype] if isinstance(found, h5py.Dataset) else []
            assert all(h5py.check_string_dtype(dtype).length is not None for dtype in dtypes)
    hdf5_files.assert_same(hdf5_files.read(path), tree)


def test_tags_of_variable_length_of_earlier_files_are_read(path):
    tree = {"a": (1, 2), "b": {"c": 1.5}}
    hdf5_files.written(path, tree)
    with h5py.File(path, "r+") as file:
        for name in ("/", "a", "b/c"):
            file[name].attrs["spherex_butler"] = file[name].attrs["spherex_butler"].decode()
    assert hdf5_files.read(path) == tree

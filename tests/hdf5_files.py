"""HDF5 files for tests: written and read without a repository, and compared."""

from __future__ import annotations

import h5py
import numpy as np

from spherex_butler.formats.hdf5.nodes import new_file, open_file
from spherex_butler.formats.hdf5.tree import read_tree, select, write_tree


def written(path, tree, options=None):
    """Write a nested mapping to a path, and return the path."""
    with new_file(str(path)) as file:
        write_tree(file, tree, options or {})
    return path


def read(path, **parameters):
    with open_file(str(path)) as file:
        return read_tree(select(file, **parameters))


def shapes(path, **parameters):
    with open_file(str(path)) as file:
        return {node.path: node.shape for node in select(file, **parameters) if not node.is_mapping}


def damage(path, name):
    """Overwrite the last chunk of a dataset, so that reading it cannot go unnoticed."""
    with h5py.File(path) as file:
        dataset = file[name]
        last = dataset.id.get_chunk_info(dataset.id.get_num_chunks() - 1)
    with path.open("r+b") as stream:
        stream.seek(last.byte_offset)
        stream.write(b"\xff" * last.size)


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
            assert_same(np.asarray(actual[name]), np.asarray(expected[name]))
        if expected.dtype.names is None:
            np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))
    elif isinstance(expected, float | complex) and expected != expected:  # noqa: PLR0124 - NaN
        assert actual != actual  # noqa: PLR0124
    else:
        assert actual == expected

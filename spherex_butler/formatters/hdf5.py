"""Nested mappings, tables and arrays in HDF5 files; `spherex_butler.formats.hdf5` specifies the format."""

from __future__ import annotations

__all__ = ("HDF5ArrayFormatter", "HDF5Formatter", "HDF5TableFormatter")

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import h5py
import numpy as np
from astropy.table import Table
from lsst.resources import ResourcePath

from ..errors import FormatError
from ..formats.hdf5.nodes import Node, new_file, open_file
from ..formats.hdf5.table import read_table, table_columns
from ..formats.hdf5.tree import read_tree, select, sole_leaf, write_member, write_tree
from ..formats.selection import as_slice
from ..formats.tables import table_schema
from .base import BaseFormatter

Parameters = Mapping[str, Any]


class _HDF5FileFormatter(BaseFormatter):
    """What the formatters have in common: the file, the recipes, a reader for each component."""

    default_extension = ".h5"
    supported_extensions = frozenset({".h5", ".hdf5"})
    recipes = {  # noqa: RUF012 - typed as a ClassVar in the base class
        "gzip": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
        "lzf": {"compression": "lzf", "shuffle": True},
        "none": {},
    }
    default_recipe = "gzip"

    member: ClassVar[str | None] = None
    """The one member of the file, or `None` if the dataset is the whole file."""

    def open_file(self, path: str) -> AbstractContextManager[h5py.File]:
        """Open a local file."""
        return open_file(path)

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write the dataset as the recipe says."""
        with new_file(uri.ospath) as file:
            if self.member is None:
                write_tree(file, in_memory_dataset, self.recipe)
            else:
                write_member(file, self.member, in_memory_dataset, self.recipe, self.member)


class HDF5Formatter(_HDF5FileFormatter):
    """A `dict`: a nested mapping of arrays, scalars, strings and tables, with attributes under ``"@attrs"``.

    Read parameters are ``keys`` (paths such as ``"a/b"`` and globs; a mapping
    stands for all under it) and ``slices`` (a slice or a tuple of them for
    every array, or a mapping of path or glob to such).  Components
    are ``keys`` (the paths of the leaves), ``shapes`` (path to shape) and
    ``attributes`` (path to attributes, for those that have any; the root is ``""``).
    They take the same parameters.
    """

    parameters = frozenset({"keys", "slices"})
    readers = {  # noqa: RUF012
        None: lambda file, parameters: read_tree(select(file, **parameters)),
        "keys": lambda file, parameters: [node.path for node in select(file, **parameters) if not node.is_mapping],
        "shapes": lambda file, parameters: {
            node.path: node.shape for node in select(file, **parameters) if not node.is_mapping
        },
        "attributes": lambda file, parameters: {
            node.path: found for node in select(file, **parameters) if (found := node.attributes()) is not None
        },
    }


def _table_node(file: h5py.File, parameters: Parameters) -> Node:
    node = sole_leaf(file, "table", as_slice(parameters.get("rows")))
    if not node.is_table:
        raise FormatError(f"{node.path!r} is not a table of this format; read the file as storage class HDF5.")
    return node


def _table(file: h5py.File, parameters: Parameters) -> Table:
    return read_table(_table_node(file, parameters), parameters.get("columns"))


class HDF5TableFormatter(_HDF5FileFormatter):
    """An astropy table with its units, mixin columns and meta, stored by columns.

    Read parameters are ``columns`` (a name, a glob or a list of either) and
    ``rows`` (a slice).  Components are ``columns`` (names), ``rowcount`` and
    ``schema`` (name to dtype, unit, shape of one row, description).  They
    take the same parameters.
    """

    parameters = frozenset({"columns", "rows"})
    member = "table"
    readers = {  # noqa: RUF012
        None: _table,
        "columns": lambda file, parameters: table_columns(_table_node(file, parameters), parameters.get("columns")),
        "rowcount": lambda file, parameters: _table_node(file, parameters).shape[0],
        "schema": lambda file, parameters: table_schema(_table(file, {**parameters, "rows": slice(0)})),
    }


def _array(file: h5py.File, parameters: Parameters) -> np.ndarray[Any, Any]:
    node = sole_leaf(file, "array", parameters.get("slices"))
    value = node.read() if isinstance(node.source, h5py.Dataset) else None
    if not isinstance(value, np.ndarray):
        raise FormatError(f"{node.path!r} is not an array; read the file as storage class HDF5.")
    return value


def _array_dtype(file: h5py.File, _parameters: Parameters) -> np.dtype[Any]:
    dtype: np.dtype[Any] = _array(file, {"slices": slice(0) if sole_leaf(file, "array").is_array else None}).dtype
    return dtype


class HDF5ArrayFormatter(_HDF5FileFormatter):
    """An array of any dtype but object; a `~astropy.units.Quantity` stays one.

    The read parameter is ``slices`` (a slice or a tuple of them); components
    are ``shape`` (with ``slices``, that of the part) and ``dtype``.
    """

    parameters = frozenset({"slices"})
    member = "array"
    readers = {  # noqa: RUF012
        None: _array,
        "shape": lambda file, parameters: list(sole_leaf(file, "array", parameters.get("slices")).shape),
        "dtype": _array_dtype,
    }

"""Nested mappings, tables and arrays in HDF5 files; `spherex_butler.formats.hdf5` specifies the format."""

from __future__ import annotations

__all__ = ("HDF5ArrayFormatter", "HDF5Formatter", "HDF5TableFormatter")

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import h5py
import numpy as np
from astropy.table import Table
from lsst.resources import ResourcePath

from ..errors import FormatError, ParameterError
from ..formats.hdf5.nodes import Node, new_file, open_file
from ..formats.hdf5.table import read_table, table_columns
from ..formats.hdf5.tree import read_tree, select, sole_leaf, write_member, write_tree
from ..formats.selection import as_slice
from ..formats.tables import table_schema
from .base import RecipeFormatter

Parameters = Mapping[str, Any]
Reader = Callable[[h5py.File, Parameters], Any]


class _HDF5FileFormatter(RecipeFormatter):
    """What the formatters have in common: the file, the recipes, a reader for each component."""

    default_extension = ".h5"
    supported_extensions = frozenset({".h5", ".hdf5"})
    can_read_from_local_file = True
    recipes = {  # noqa: RUF012 - typed as a ClassVar in the base class
        "gzip": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
        "lzf": {"compression": "lzf", "shuffle": True},
        "none": {},
    }
    default_recipe = "gzip"

    readers: ClassVar[Mapping[str | None, Reader]]
    """What reads the dataset (`None`) and each of its components."""

    member: ClassVar[str | None] = None
    """The one member of the file, or `None` if the dataset is the whole file."""

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read the dataset, a component or a subset of either.

        Raises
        ------
        ParameterError
            Raised if a parameter or component has no meaning for the file.
        FormatError
            Raised if the file is damaged or not what the storage class says.
        """
        reader = self.readers.get(component)
        if reader is None:
            known = sorted(filter(None, self.readers))
            raise ParameterError(f"{type(self).__name__} has no component {component!r}; expected one of {known}.")
        with open_file(path) as file:
            return reader(file, self.read_parameters)

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write the dataset as the recipe says.

        Raises
        ------
        FormatError
            Raised if a part of the dataset cannot be stored.
        """
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
        raise FormatError(f"{node.path!r} is no table of this format; read the file as storage class HDF5.")
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
        raise FormatError(f"{node.path!r} is no array; read the file as storage class HDF5.")
    return value


def _array_dtype(file: h5py.File, _parameters: Parameters) -> np.dtype[Any]:
    dtype: np.dtype[Any] = _array(file, {"slices": slice(0) if sole_leaf(file, "array").is_array else None}).dtype
    return dtype


class HDF5ArrayFormatter(_HDF5FileFormatter):
    """An array of any dtype but object; a `~astropy.units.Quantity` stays one.

    The read parameter is ``slices`` (a slice or a tuple of them); components
    are ``shape`` (with ``slices``, that of the part) and ``dtype``.
    """

    member = "array"
    readers = {  # noqa: RUF012
        None: _array,
        "shape": lambda file, parameters: list(sole_leaf(file, "array", parameters.get("slices")).shape),
        "dtype": _array_dtype,
    }

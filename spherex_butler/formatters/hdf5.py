"""Nested mappings, tables and arrays in HDF5 files; this is also the specification of the format.

**Files.**  Any HDF5 file is read as a tree of groups and datasets.  One that
is written here has, on the root group, an attribute ``spherex_butler``: JSON
with ``"format": 1``.  A file of storage class ``HDF5`` holds the mapping's
keys; one of ``HDF5Table`` holds a single member ``table``, one of
``HDF5Array`` a single member ``array``, so that ``HDF5`` reads those too.
The file format is HDF5 1.8's, and the same data give the same bytes (with an
h5py that can leave out the times of groups).

**Tags.**  What HDF5 lacks is noted in the attribute ``spherex_butler`` of a
group or dataset, a JSON object; absent means a plain group or array.
``kind`` is one of

============== ==========================================================
(absent)       a mapping; an array of one or more dimensions
array          an array of no dimension
scalar         a numpy scalar
bool … complex a Python scalar; an ``int`` beyond 64 bits is hexadecimal text
str, numpy.str text; with NULs or lone surrogates as numbers, UTF-8
bytes          a Python ``bytes`` (numpy.bytes: numpy's), as numbers
none           `None`, a null dataspace
json           a list or tuple: JSON in which a tuple is ``{"tuple": […]}``
               and a dictionary ``{"dict": {…}}``
quantity       an array with ``unit``
table, column  see below
============== ==========================================================

``dtype`` is given for fields and where HDF5 has no such type: a numpy type string, or
``[base, shape]``, or an object with ``names``, ``formats``, ``offsets``,
``titles`` and ``itemsize``.  Unicode is stored as fixed-length UTF-8, times as their int64.
Everything is stored little-endian or as it is native; arrays come back native.

**Keys and attributes.**  A key is a non-empty string without "/" and NUL,
and not ".".  The key ``@attrs`` of a mapping is a mapping that becomes the
attributes of the group; its order and the tags of the values are in the
group's tag ``attributes``, a list of ``[name, tags]``.  A member ``@attrs``
of a file appears as the key ``@@attrs``, ``@@attrs`` as ``@@@attrs``, both
ways.  An attribute is any value but an array-bearing mapping or table, of any
size, and may not be named ``spherex_butler``.

**Values.**  What is read has the type that was written.  Hence subclasses (masked
arrays, `~astropy.coordinates.Angle`, enumerations …) and other classes are
refused, except that any `~collections.abc.Mapping` comes back as `dict` and
a subclass of `~astropy.table.Table` as Table or QTable.  A list or tuple is
one value, of `None`, bool, int, float, str, lists, tuples and dictionaries.
Nothing is pickled.

**Tables.**  A table is a group of kind ``table`` with tags ``class`` (Table
or QTable), ``rows``, ``masked`` and ``meta`` (YAML of `astropy.io.misc.yaml`).
Each column is a member, in order, whose name has "%" and "/" percent-encoded:
a dataset with tags ``unit``, ``description``, ``format``, ``meta``; or, for a
masked column or a mixin such as Time, a group of kind ``column`` with a
dataset for each part that astropy takes the column into, and their assembly
in the tag ``parts`` (YAML).  One dataset a column, rather than one of
compound type as astropy writes it, because HDF5 reads a compound dataset's
chunks whole whichever fields are wanted, and because like values compress
better together.  A table's indices are not kept.

**Compression.**  Arrays below 32 KiB are stored as they are.  The default
recipe is ``gzip``: every HDF5 library reads it, and with the shuffle filter
it takes a noisy float32 image to two thirds, smaller than ``lzf`` does and as
fast.  ``none`` is for data that other programs map into memory.

**Files of other writers.**  Strings of either kind come back as str or
unicode arrays if they are UTF-8 or of variable length, scalars as numpy
scalars; attributes of datasets are in the component ``attributes`` only.
Soft links are followed within the file.  External links, external and
virtual datasets, references and ragged arrays are an error for who asks for them.
"""

from __future__ import annotations

__all__ = ("HDF5ArrayFormatter", "HDF5Formatter", "HDF5TableFormatter")

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import h5py
import numpy as np
from astropy.table import Table
from lsst.resources import ResourcePath

from ..errors import FormatError, ParameterError
from ..formats.hdf5.nodes import new_file, open_file, read_attributes
from ..formats.hdf5.table import read_table, table_columns
from ..formats.hdf5.tree import Node, read_tree, select, sole_leaf, write_member, write_tree
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


# Trees.


def _tree(file: h5py.File, parameters: Parameters) -> dict[str, Any]:
    return read_tree(select(file, **parameters))


def _tree_keys(file: h5py.File, parameters: Parameters) -> list[str]:
    return [node.path for node in select(file, **parameters).leaves]


def _tree_shapes(file: h5py.File, parameters: Parameters) -> dict[str, tuple[int, ...]]:
    selection = select(file, **parameters)
    return {node.path: node.shape(selection.slices.get(node.path)) for node in selection.leaves}


def _tree_attributes(file: h5py.File, parameters: Parameters) -> dict[str, dict[str, Any]]:
    nodes = [node for node in select(file, **parameters).nodes if not isinstance(node.source, Exception)]
    found = {node.path: read_attributes(node.source, node.path) for node in nodes}
    return {path: attributes for path, attributes in found.items() if attributes is not None}


class HDF5Formatter(_HDF5FileFormatter):
    """A `dict`: a nested mapping of arrays, scalars, strings and tables, with attributes under ``"@attrs"``.

    Read parameters are ``keys`` (paths such as ``"a/b"`` and globs; a mapping
    stands for all under it) and ``slices`` (a slice or a tuple of them for
    every array, or a mapping of path, mapping or glob to such).  Components
    are ``keys`` (the paths of the leaves), ``shapes`` (path to shape) and
    ``attributes`` (path to attributes, for those that have any; the root is ``""``).
    They take the same parameters.
    """

    readers = {None: _tree, "keys": _tree_keys, "shapes": _tree_shapes, "attributes": _tree_attributes}  # noqa: RUF012


# Tables.


def _table_node(file: h5py.File) -> Node:
    node = sole_leaf(file, "table")
    if not node.is_table:
        raise FormatError(f"{node.path!r} is no table of this format; read the file as storage class HDF5.")
    return node


def _table(file: h5py.File, parameters: Parameters) -> Table:
    node = _table_node(file)
    rows = as_slice(parameters.get("rows"))
    return read_table(node.source, node.path, columns=parameters.get("columns"), rows=rows)


def _table_columns(file: h5py.File, parameters: Parameters) -> list[str]:
    return table_columns(_table_node(file).source, parameters.get("columns"))


def _table_rowcount(file: h5py.File, parameters: Parameters) -> int:
    return _table_node(file).shape(parameters.get("rows"))[0]


def _table_schema(file: h5py.File, parameters: Parameters) -> dict[str, dict[str, Any]]:
    return table_schema(_table(file, {**parameters, "rows": slice(0, 0)}))


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
        "columns": _table_columns,
        "rowcount": _table_rowcount,
        "schema": _table_schema,
    }


# Arrays.


def _array(file: h5py.File, parameters: Parameters) -> np.ndarray[Any, Any]:
    node = sole_leaf(file, "array")
    value = None if node.is_table or node.is_mapping else node.read(parameters.get("slices"))
    if not isinstance(value, np.ndarray):
        raise FormatError(f"{node.path!r} is no array; read the file as storage class HDF5.")
    return value


def _array_shape(file: h5py.File, parameters: Parameters) -> list[int]:
    return list(sole_leaf(file, "array").shape(parameters.get("slices")))


def _array_dtype(file: h5py.File, _parameters: Parameters) -> np.dtype[Any]:
    node = sole_leaf(file, "array")
    dtype: np.dtype[Any] = _array(file, {"slices": slice(0, 0) if node.is_array else None}).dtype
    return dtype


class HDF5ArrayFormatter(_HDF5FileFormatter):
    """An array of any dtype but object; a `~astropy.units.Quantity` stays one.

    The read parameter is ``slices`` (a slice or a tuple of them); components
    are ``shape`` (with ``slices``, that of the part) and ``dtype``.
    """

    member = "array"
    readers = {None: _array, "shape": _array_shape, "dtype": _array_dtype}  # noqa: RUF012

"""Nested mappings in an HDF5 file: writing them, choosing within them and reading the choice.

The format is specified in `spherex_butler.formatters.hdf5`.
"""

from __future__ import annotations

__all__ = ("Node", "Selection", "read_tree", "select", "sole_leaf", "write_member", "write_tree")

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import h5py
from astropy.table import Table

from ...errors import FormatError
from ..selection import as_slice, select_names
from .nodes import (
    ATTRIBUTES,
    Options,
    index_of,
    member,
    named,
    new_group,
    read_attributes,
    read_tags,
    read_value,
    value_shape,
    write_attributes,
    write_value,
)
from .table import read_table, write_table
from .values import Tags, check_name

# Writing.


def write_tree(group: h5py.Group, tree: Mapping[str, Any], options: Options, path: str = "") -> None:
    """Write a nested mapping into a group.

    Raises
    ------
    FormatError
        Raised if a key or a value cannot be stored.
    """
    for key, value in tree.items():
        if key == ATTRIBUTES:
            write_attributes(group, value, path)
        else:
            where = _checked_path(path, key)
            # "@attrs" means the attributes, so a member of that name is written "@@attrs", and so on.
            name = key[1:] if re.fullmatch("@@+attrs", key) else key
            write_member(group, name, value, options, where)


def write_member(group: h5py.Group, name: str, value: Any, options: Options, path: str) -> None:
    """Write a mapping, table or value as the member ``name`` of a group."""
    if isinstance(value, Mapping):
        write_tree(new_group(group, name), value, options, path)
    elif isinstance(value, Table):
        write_table(group, name, value, path, options)
    else:
        write_value(group, name, value, repr(path), options)


def _checked_path(path: str, key: Any) -> str:
    check_name(key, f"A key in {named(path)}")
    if "/" in key or key == ".":
        raise FormatError(
            f"A key in {named(path)} has the name {key!r}, which HDF5 would take for a path; "
            "use nested mappings, or another name."
        )
    return f"{path}/{key}" if path else key


# Walking.


@dataclass(frozen=True, slots=True)
class Node:
    """A mapping or leaf in a file, not yet read."""

    path: str
    """Keys joined by "/"; empty for the root."""

    source: Any
    """The open HDF5 group or dataset, or the error that reading it raises."""

    tags: Tags

    @property
    def is_table(self) -> bool:
        """Whether the node is a table."""
        return isinstance(self.source, h5py.Group) and self.tags.get("kind") == "table"

    @property
    def is_mapping(self) -> bool:
        """Whether the node is a mapping."""
        return isinstance(self.source, h5py.Group) and not self.is_table

    @property
    def is_array(self) -> bool:
        """Whether the node is an array of at least one dimension."""
        return isinstance(self.source, h5py.Dataset) and value_shape(self.source, self.tags) != ()

    @property
    def lineage(self) -> list[str]:
        """The paths of the mappings that hold the node, and its own."""
        return list(accumulate(self.path.split("/"), "{}/{}".format))

    def indexed(self, slices: Any) -> tuple[slice, ...]:
        """Return ``slices`` as bounded slices of this array.

        Raises
        ------
        ParameterError
            Raised if the node is no array or has fewer dimensions.
        """
        return () if slices is None else index_of(self._opened(), self.tags, self.path, slices)

    def shape(self, slices: Any = None) -> tuple[int, ...]:
        """Return the shape of the value: of an array, ``(rows,)`` of a table, else ``()``."""
        if self.is_table:
            return (len(range(*as_slice(slices, what="slices").indices(self.tags["rows"]))),)
        full = value_shape(self._opened(), self.tags)
        index = self.indexed(slices)
        return tuple(len(range(s.start, s.stop, s.step)) for s in index) + full[len(index) :]

    def read(self, slices: Any = None) -> Any:
        """Read the table or value."""
        if self.is_table:
            return read_table(self.source, self.path, rows=as_slice(slices, what="slices"))
        return read_value(self._opened(), self.tags, self.path, self.indexed(slices))

    def _opened(self) -> h5py.Dataset:
        if isinstance(self.source, Exception):
            raise self.source
        return self.source


def _node(group: h5py.Group, name: str, path: str) -> Node:
    try:
        source = member(group, name, path)
        return Node(path, source, read_tags(source, path))
    except FormatError as error:
        # A bad link stops only who asks for it.
        return Node(path, error, {})


def _walk(group: h5py.Group, path: str = "", above: tuple[Any, ...] = ()) -> Iterator[Node]:
    above = (*above, group)
    for name in group:
        key = f"@{name}" if re.fullmatch("@+attrs", name) else name
        node = _node(group, name, f"{path}/{key}" if path else key)
        if isinstance(node.source, h5py.Datatype):
            continue  # a type other datasets share, which holds no data
        if node.source in above:
            error = FormatError(f"{named(node.path)} is a link to a group that holds it; expected a tree.")
            node = Node(node.path, error, {})
        yield node
        if node.is_mapping:
            yield from _walk(node.source, node.path, above)


# Choosing and reading.


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a file that read parameters ask for."""

    nodes: tuple[Node, ...]
    """The root, and every node that is chosen or holds one that is, in the file's order."""

    slices: Mapping[str, Any]
    """What to read of each leaf, by path, where that is not the whole."""

    @property
    def leaves(self) -> Iterator[Node]:
        """The chosen nodes that are not mappings."""
        return (node for node in self.nodes if not node.is_mapping)


def select(file: h5py.File, *, keys: Any = None, slices: Any = None) -> Selection:
    """Choose mappings and leaves without reading data.

    Parameters
    ----------
    file
        The open file.
    keys
        A path, a glob (whose ``*`` also matches "/") or a list of either; a
        mapping stands for everything under it.
    slices
        A slice or tuple of slices for every array, or a mapping of path,
        mapping or glob to such.

    Raises
    ------
    ParameterError
        Raised if a key matches nothing, or slices do not fit an array.
    """
    root = file["/"]
    nodes = list(_walk(root))
    wanted = set(select_names([node.path for node in nodes], keys, what="key"))
    chosen = [node for node in nodes if wanted.intersection(node.lineage)]
    kept = {path for node in chosen for path in node.lineage}
    return Selection(
        nodes=(Node("", root, read_tags(root, "")), *(node for node in nodes if node.path in kept)),
        slices=_slices_of(chosen, slices),
    )


def _slices_of(nodes: list[Node], slices: Any) -> dict[str, Any]:
    if slices is None:
        return {}
    if not isinstance(slices, Mapping):
        return {node.path: slices for node in nodes if node.is_array}
    result: dict[str, Any] = {}
    for key, value in slices.items():
        covered = set(select_names([node.path for node in nodes], [key], what="key"))
        for node in nodes:
            # Of what a glob or a mapping covers only arrays can be meant; a leaf that is named must fit.
            if node.is_array or node.path == key:
                result |= {node.path: value} if covered.intersection(node.lineage) else {}
    return result


def read_tree(selection: Selection) -> dict[str, Any]:
    """Read what is selected as nested dictionaries."""
    tree: dict[str, Any] = {}
    for node in selection.nodes:
        if node.is_mapping:
            place = _place(tree, node.path)
            attributes = read_attributes(node.source, node.path)
            if attributes is not None:
                place[ATTRIBUTES] = attributes
        else:
            parent, _, key = node.path.rpartition("/")
            _place(tree, parent)[key] = node.read(selection.slices.get(node.path))
    return tree


def _place(tree: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the dictionary at a path, made if it is not there."""
    for key in filter(None, path.split("/")):
        tree = tree.setdefault(key, {})
    return tree


def sole_leaf(file: h5py.File, name: str) -> Node:
    """Return the member ``name``, or the only member there is.

    Raises
    ------
    FormatError
        Raised if there are several, or none.
    """
    members = list(file)
    if name in members or len(members) == 1:
        found = name if name in members else members[0]
        return _node(file, found, found)
    raise FormatError(
        f"The file has no {name!r} and no single member to take for it, but {members!r}; read it as storage class HDF5."
    )

"""Nested mappings in an HDF5 file: writing them, choosing within them and reading the choice."""

from __future__ import annotations

__all__ = ("read_leaf", "read_tree", "select", "sole_leaf", "write_member", "write_tree")

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

import h5py
from astropy.table import Table

from ...errors import FormatError
from ..selection import select_names
from .nodes import ATTRIBUTES, DEEPEST, Node, Options, named, new_group, write_attributes, write_value
from .table import read_table, write_table
from .values import check_name

_AGAIN = 1000
"""How many links may lead to what is in the file elsewhere, too; groups that hold a group twice multiply."""

# Writing.


def write_tree(group: h5py.Group, tree: Mapping[str, Any], options: Options, path: str = "") -> None:
    """Write a nested mapping into a group."""
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
            f"A key in {named(path)} has the name {key!r}, which HDF5 would take for a path; use nested mappings."
        )
    if path.count("/") >= DEEPEST - 1:
        raise FormatError(f"{named(path)} is in {DEEPEST} mappings; expected fewer in each other.")
    return f"{path}/{key}" if path else key


# Choosing.


def select(file: h5py.File, *, keys: Any = None, slices: Any = None) -> list[Node]:
    """Choose mappings and leaves without reading data.

    The root comes first, then every node that is chosen or holds one that is, in the file's order. ``keys`` is a
    path, a glob (whose ``*`` also matches "/") or a list of either; a mapping stands for everything under it.
    ``slices`` is a slice or tuple of slices for every array, or a mapping of path or glob to such.
    """
    root = Node.of(file["/"])
    nodes = list(_Walk().of(root))
    wanted = set(select_names([node.path for node in nodes], keys, what="key"))
    chosen = [node for node in nodes if wanted.intersection(_lineage(node))]
    kept = {path for node in chosen for path in _lineage(node)}
    by_path = _slices_by_path([node for node in chosen if not node.is_mapping], slices)
    return [root, *(replace(node, slices=by_path.get(node.path)) for node in nodes if node.path in kept)]


class _Walk:
    """A walk through the nodes of a file, which ends though links make a small file a large tree."""

    def __init__(self) -> None:
        self._met: set[Any] = set()
        self._again = 0

    def of(self, group: Node, prefix: str = "", above: tuple[Any, ...] = ()) -> Iterator[Node]:
        """Yield what is in a group, and in what is in it."""
        above = (*above, group.source)
        if len(above) > DEEPEST:
            raise FormatError(f"{named(group.path)} is in {DEEPEST} groups; expected fewer in each other.")
        for name in group.source:
            key = f"@{name}" if re.fullmatch("@+attrs", name) else name
            node = group.member(name, prefix + key)
            if isinstance(node.source, h5py.Datatype):
                continue  # a type other datasets share, which holds no data
            if node.source in above:  # a link to a group that holds it
                node = Node.of(None, node.path)
            self._meet(node)
            yield node
            if node.is_mapping:
                yield from self.of(node, f"{node.path}/", above)

    def _meet(self, node: Node) -> None:
        if node.source is None:
            return
        info = h5py.h5o.get_info(node.source.id)
        self._again += (info.fileno, info.addr) in self._met
        self._met.add((info.fileno, info.addr))
        if self._again > _AGAIN:
            raise FormatError(
                f"At {named(node.path)} links have led {self._again} times to what was met before; expected at most "
                f"{_AGAIN} such links. Choose a part of the file in h5py."
            )


def _lineage(node: Node) -> list[str]:
    """Return the paths of the mappings that hold a node, and its own."""
    return list(accumulate(node.path.split("/"), "{}/{}".format))


def _slices_by_path(leaves: list[Node], slices: Any) -> dict[str, Any]:
    if not isinstance(slices, Mapping):
        return {node.path: slices for node in leaves if node.is_array}
    paths = [node.path for node in leaves]
    return {path: value for key, value in slices.items() for path in select_names(paths, [key], what="key")}


def sole_leaf(file: h5py.File, name: str, slices: Any = None) -> Node:
    """Return the member ``name``, or the only member there is."""
    members = list(file)
    if name in members or len(members) == 1:
        found = name if name in members else members[0]
        return Node.of(file).member(found, found, slices)
    raise FormatError(
        f"The file has no {name!r} and no single member to take for it, but {members!r}; read it as storage class HDF5."
    )


# Reading.


def read_leaf(node: Node) -> Any:
    """Read a table or value."""
    return read_table(node) if node.is_table else node.read()


def read_tree(nodes: list[Node]) -> dict[str, Any]:
    """Read what was selected as nested dictionaries."""
    mappings: dict[str, dict[str, Any]] = {}
    for node in nodes:
        value = {} if node.is_mapping else read_leaf(node)
        if node.is_mapping:
            mappings[node.path] = value
            attributes = node.attributes()
            value |= {} if attributes is None else {ATTRIBUTES: attributes}
        if node.path:
            parent, _, key = node.path.rpartition("/")
            mappings[parent][key] = value
    return mappings[""]

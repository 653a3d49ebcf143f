"""How a table is stored in an HDF5 group: a dataset for each column, or for each part of one."""

from __future__ import annotations

__all__ = ("read_table", "table_columns", "write_table")

from typing import Any
from urllib.parse import unquote

import astropy.units as u
import h5py
import yaml
from astropy.io.misc import yaml as astropy_yaml
from astropy.table import Column, QTable, Table, represent_mixins_as_columns, serialize
from astropy.utils.data_info import serialize_context_as

from ...errors import FormatError
from ..selection import select_names
from .nodes import Node, Options, named, new_group, write_tags, write_value
from .values import check_name, unit_text

_PARTS = "__serialized_columns__"
"""The key of a table's meta in which astropy says how columns were taken apart."""

_ESCAPES = str.maketrans({"%": "%25", "/": "%2F"})


def write_table(parent: h5py.Group, name: str, table: Table, path: str, options: Options) -> None:
    """Write a table as a new group."""
    kind = QTable if isinstance(table, QTable) else Table
    if type(table) is not kind:
        table = kind(table)
    group = new_group(parent, name)
    tags = {"kind": "table", "class": kind.__name__, "rows": len(table), "masked": bool(table.masked)}
    for key, value in table.meta.items():
        _dumped({key: value}, f"meta[{key!r}] of {named(path)}")  # an error names the key
    write_tags(group, {**tags, "meta": _dumped(dict(table.meta), f"meta of {named(path)}")})
    for column in table.colnames:
        # Taken apart one by one, the parts of two columns cannot clash.
        _write_column(group, kind([table[column]], names=[column], copy_indices=False), path, options)


def read_table(node: Node, columns: Any = None) -> Table:
    """Read a table, or some columns and rows of one."""
    names = table_columns(node, columns)
    kind = {"QTable": QTable}.get(node.tags.get("class", ""), Table)
    values = [_read_column(node, name) for name in names]
    meta = _loaded(node.tags.get("meta", "{}"), f"meta of {named(node.path)}")
    try:
        return kind(values, names=names, meta=meta, masked=bool(node.tags.get("masked")), copy=False)
    except (TypeError, ValueError) as error:
        raise FormatError(f"The columns of {named(node.path)} are no table: {error}. The file is damaged.") from error


def table_columns(node: Node, columns: Any = None) -> list[str]:
    """Return the names of a table's columns, or those that ``columns`` asks for."""
    return select_names([unquote(name) for name in node.source], columns, what="column")


# Columns.


def _write_column(group: h5py.Group, single: Table, path: str, options: Options) -> None:
    (name,) = single.colnames
    where = f"column {name!r} of {named(path)}"
    link = _escaped(check_name(name, where))
    with serialize_context_as("hdf5"):
        plain = represent_mixins_as_columns(single)
    parts = plain.meta.get(_PARTS)
    if parts is None:
        _write_part(group, link, plain[name], where, options)
        return
    text = _dumped(parts[name], where)
    _assembled(name, list(plain[:0].itercols()), text, where)  # what cannot be read back is not written
    parent = new_group(group, link)
    write_tags(parent, {"kind": "column", "parts": text})
    for part in plain.itercols():
        _write_part(parent, _escaped(part.name), part, where, options)


def _write_part(group: h5py.Group, name: str, part: Column, where: str, options: Options) -> None:
    tags = {
        "unit": None if part.unit is None else unit_text(part.unit, where),
        "description": part.description,
        "format": part.format,
        "meta": _dumped(dict(part.meta), where) if part.meta else None,
    }
    for key, value in tags.items():
        if not isinstance(value, str | None):
            raise FormatError(f"{key}={value!r} of {where} cannot be stored; expected a str or None.")
    write_value(group, name, part.data, where, options, **{k: text for k, text in tags.items() if text is not None})


def _read_column(table: Node, name: str) -> Any:
    path = f"{table.path}/{name}"
    node = table.member(_escaped(name), path, table.slices)
    if not node.is_mapping:
        return _read_part(node, name)
    parts = [_read_part(node.member(part, f"{path}/{part}", table.slices), unquote(part)) for part in node.source]
    return _assembled(name, parts, node.tags["parts"], f"column {path!r}")


def _read_part(node: Node, name: str) -> Column:
    unit = node.tags.get("unit")
    return Column(
        node.read(),
        name=name,
        unit=None if unit is None else u.Unit(unit, parse_strict="silent"),
        description=node.tags.get("description"),
        format=node.tags.get("format"),
        meta=_loaded(node.tags["meta"], f"meta of {named(node.path)}") if "meta" in node.tags else None,
        copy=False,
    )


def _assembled(name: str, parts: list[Column], text: str, where: str) -> Any:
    """Return the column that astropy took apart."""
    try:
        table = Table(parts, meta={_PARTS: {name: _loaded(text, where)}}, copy=False)
        # The inverse of the public represent_mixins_as_columns, used by all of
        # astropy's own readers, is not public itself.
        return serialize._construct_mixins_from_columns(table)[name]  # noqa: SLF001
    except FormatError:
        raise
    except Exception as error:  # each of astropy's classes refuses what it is given in its own way
        raise FormatError(
            f"astropy cannot rebuild {where} from its parts: {error}. Expected a column class of astropy's own; "
            "store plain columns instead."
        ) from error


def _escaped(name: str) -> str:
    """Return a name for a link, in which "/" would mean a group and "." the group itself."""
    return "%2E" if name == "." else name.translate(_ESCAPES)


# Metadata as YAML, for which astropy has safe representations of its classes.


def _dumped(value: Any, where: str) -> str:
    try:
        text: str = astropy_yaml.dump(value, sort_keys=False)
    except (yaml.YAMLError, TypeError) as error:
        raise FormatError(f"{where} cannot be stored: {error}. Expected plain Python values or astropy's.") from error
    return text


def _loaded(text: str, where: str) -> Any:
    try:
        return astropy_yaml.load(text)
    except Exception as error:  # whatever astropy's classes raise
        raise FormatError(f"{where} is damaged: {error}.") from error

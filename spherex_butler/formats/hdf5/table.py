"""How a table is stored in an HDF5 group: a dataset for each column, or for each part of one.

The format is specified in `spherex_butler.formatters.hdf5`.
"""

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
from .nodes import Options, index_of, member, named, new_group, read_tags, read_value, write_tags, write_value
from .values import Tags, check_name, unit_text

_PARTS = "__serialized_columns__"
"""The key of a table's meta in which astropy says how columns were taken apart."""

_ESCAPES = str.maketrans({"%": "%25", "/": "%2F"})


def write_table(parent: h5py.Group, name: str, table: Table, path: str, options: Options) -> None:
    """Write a table as a new group.

    Raises
    ------
    FormatError
        Raised if a column or the table's meta cannot be stored.
    """
    kind = QTable if isinstance(table, QTable) else Table
    if type(table) is not kind:
        table = kind(table)
    group = new_group(parent, name)
    tags = {"kind": "table", "class": kind.__name__, "rows": len(table), "masked": bool(table.masked)}
    write_tags(group, {**tags, "meta": _dumped_meta(dict(table.meta), named(path))})
    for column in table.colnames:
        # Taken apart one by one, the parts of two columns cannot clash.
        _write_column(group, kind([table[column]], names=[column], copy_indices=False), path, options)


def read_table(group: h5py.Group, path: str, *, columns: Any = None, rows: slice = slice(None)) -> Table:
    """Read a table, or some columns and rows of one.

    Raises
    ------
    ParameterError
        Raised if there is no such column.
    FormatError
        Raised if the file is damaged.
    """
    tags = read_tags(group, path)
    names = table_columns(group, columns)
    kind = {"QTable": QTable}.get(tags.get("class", ""), Table)
    values = [_read_column(group, name, path, rows) for name in names]
    meta = _loaded(tags.get("meta", "{}"), f"meta of {named(path)}")
    return kind(values, names=names, meta=meta, masked=bool(tags.get("masked")), copy=False)


def table_columns(group: h5py.Group, columns: Any = None) -> list[str]:
    """Return the names of a table's columns, or those that ``columns`` asks for."""
    return select_names([unquote(name) for name in group], columns, what="column")


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
    info: Tags = {
        "unit": None if part.unit is None else unit_text(part.unit, where),
        "description": part.description,
        "format": part.format,
        "meta": _dumped(dict(part.meta), where) if part.meta else None,
    }
    wrong = [key for key, value in info.items() if not isinstance(value, str | None)]
    if wrong:
        raise FormatError(f"{wrong[0]}={info[wrong[0]]!r} of {where} cannot be stored; expected a str or None.")
    dataset = write_value(group, name, part.data, where, options)
    write_tags(dataset, {key: value for key, value in info.items() if value is not None})


def _read_column(group: h5py.Group, name: str, path: str, rows: slice) -> Any:
    path = f"{path}/{name}"
    node = member(group, _escaped(name), path)
    if isinstance(node, h5py.Dataset):
        return _read_part(node, name, path, rows)
    parts = [_read_part(member(node, part, f"{path}/{part}"), unquote(part), path, rows) for part in node]
    return _assembled(name, parts, read_tags(node, path)["parts"], f"column {path!r}")


def _read_part(dataset: h5py.Dataset, name: str, path: str, rows: slice) -> Column:
    tags = read_tags(dataset, path)
    index = index_of(dataset, tags, path, rows)
    data = read_value(dataset, tags, path, index)
    unit = tags.get("unit")
    return Column(
        data,
        name=name,
        unit=None if unit is None else u.Unit(unit, parse_strict="silent"),
        description=tags.get("description"),
        format=tags.get("format"),
        meta=_loaded(tags.get("meta", "{}"), f"meta of {named(path)}"),
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


def _dumped_meta(meta: dict[Any, Any], where: str) -> str:
    for key, value in meta.items():
        _dumped({key: value}, f"meta[{key!r}] of {where}")
    return _dumped(meta, f"meta of {where}")


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

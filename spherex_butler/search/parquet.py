"""Tables as Parquet.

A column has its type also without rows, what is masked is null, and its unit is in the metadata of its field, under
``unit``. How the table was made, its meta, is in the metadata of the schema, as text. Files of astropy, which describes
columns in YAML, are read as well, with their times and coordinates; its own reader needs pandas.
"""

from __future__ import annotations

__all__ = ("parquet_content", "read_parquet")

import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, MaskedColumn, Table, serialize
from astropy.table.meta import get_header_from_yaml
from astropy.time import Time

_PARTS = "__serialized_columns__"  # of astropy's description: what columns belong together
_OF_PROGRAMS = {"table_meta_yaml", "pandas", "ARROW:schema"}


def parquet_content(table: Table) -> bytes:
    """Return the content of a file with the columns of a table, which are numbers and text."""
    arrays = {name: _array(table[name]) for name in table.colnames}
    units = {name: {"unit": str(table[name].unit)} if table[name].unit else None for name in table.colnames}
    fields = [pa.field(name, arrays[name].type, metadata=units[name]) for name in table.colnames]
    stream = io.BytesIO()
    told = {str(name): str(value) for name, value in table.meta.items()}
    pq.write_table(pa.table(list(arrays.values()), schema=pa.schema(fields, metadata=told or None)), stream)
    return stream.getvalue()


def _array(column: Any) -> Any:
    values = np.ma.asarray(getattr(column, "value", column))
    mask = np.ma.getmaskarray(values) if np.ma.is_masked(values) else None
    return pa.array(np.ma.getdata(values), mask=mask)


def read_parquet(path: str | os.PathLike[str]) -> Table:
    """Return the table in a file: null values are masked, and times with a time zone are UTC."""
    content = pq.read_table(path)
    table = Table({name: _column(content[name]) for name in content.column_names}, meta=_told(content.schema))
    for name, unit in _units(content.schema):
        if name in table.colnames and not isinstance(table[name], Time):
            table[name].unit = unit
    described = _description(content.schema)
    if parts := (described.get("meta") or {}).get(_PARTS):
        table.meta[_PARTS] = parts
        # The inverse of the public represent_mixins_as_columns, used by all of astropy's own readers, is not public.
        return serialize._construct_mixins_from_columns(table)  # noqa: SLF001
    return table


def _told(schema: Any) -> dict[str, str]:
    """Return the metadata of a schema that are words, and no description of columns for a program."""
    found = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
    return {name: value for name, value in found.items() if name not in _OF_PROGRAMS}


def _units(schema: Any) -> Iterator[tuple[str, str]]:
    for field in schema:
        if unit := (field.metadata or {}).get(b"unit", b"").decode():
            yield field.name, unit
    for column in _description(schema).get("datatype", ()):
        if column.get("unit"):
            yield column["name"], column["unit"]


def _description(schema: Any) -> dict[str, Any]:
    """Return how astropy describes the columns, nothing if it did not write them."""
    text = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode()
    return dict(get_header_from_yaml(text.splitlines())) if text else {}


def _column(array: Any) -> Column | Time:
    kinds = pa.types
    if kinds.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if kinds.is_timestamp(array.type):
        return _times(array)
    if kinds.is_decimal(array.type):
        array = array.cast(pa.float64())
    elif kinds.is_null(array.type) or kinds.is_date(array.type) or kinds.is_time(array.type):
        array = array.cast(pa.string())
    missing = array.is_null().to_numpy()
    values = _values(array)
    return MaskedColumn(values, mask=missing) if missing.any() else Column(values)


def _values(array: Any) -> Any:
    """Return values as numpy has them, zero or empty where they are null."""
    kinds = pa.types
    if kinds.is_string(array.type) or kinds.is_large_string(array.type) or kinds.is_string_view(array.type):
        return np.array(["" if text is None else text for text in array.to_pylist()], np.str_)
    if kinds.is_integer(array.type) or kinds.is_floating(array.type) or kinds.is_boolean(array.type):
        return array.fill_null(False if kinds.is_boolean(array.type) else 0).to_numpy()
    values = np.empty(len(array), object)
    values[:] = array.to_pylist()
    return values


def _times(array: Any) -> Time:
    times = Time(array.to_numpy(), format="datetime64", scale="utc")
    times.format = "isot"
    return times

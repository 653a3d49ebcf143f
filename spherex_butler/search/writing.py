"""Tables of a search in the file formats that others read."""

from __future__ import annotations

__all__ = ("FORMATS", "document", "format_of", "write_images", "write_table", "written")

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Column, MaskedColumn, QTable, Table, represent_mixins_as_columns
from astropy.time import Time

from ..errors import ParameterError
from ..files.paths import format_by_suffix
from ..files.placement import publish
from ..files.temporary import temporary_file
from ..repository.json_values import json_text, json_value
from .parquet import parquet_content
from .votable import votable_content

FORMATS = {
    "ecsv": (".ecsv",),
    "csv": (".csv",),
    "fits": (".fits",),
    "votable": (".vot", ".xml", ".votable"),
    "parquet": (".parquet",),
    "json": (".json",),
}
"""Formats, and the ends of file names that stand for them."""

_IMAGES = "images"
_DIGITS = 9  # of a second: Butler's nanoseconds
_CHARACTERS = 29  # of a time with these


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a file's name stands for.

    Raises
    ------
    ParameterError
        Raised if it stands for none.
    """
    return format_by_suffix(path, FORMATS)


def write_images(
    table: Table,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - astropy's word for it
    overwrite: bool = False,
) -> None:
    """Write the table of a search, with all columns and digits.

    Parameters
    ----------
    table
        From `find_images`.
    path
        The file, which appears when it is whole.
    format
        ``ecsv``, ``csv``, ``fits``, ``votable``, ``parquet`` or ``json``; by default as the name says. Times are
        text (ISO 8601, UTC, to the nanosecond), which astropy's `~astropy.table.Table.read` turns into times again
        from ECSV and FITS. Those that are not known are empty, or null. JSON is what ``butler spherex search --json``
        prints. Names of sources that are not ASCII are UTF-8 in FITS, too, which astropy reads; its standard knows
        ASCII only.
    overwrite
        Whether to replace a file that is there.

    Raises
    ------
    FileExistsError
        Raised if the file is there and ``overwrite`` was not given.
    ParameterError
        Raised if there is no such format.
    """
    name = format_of(path) if format is None else format
    if name not in FORMATS:
        raise ParameterError(f"format={name!r} is not known; expected one of {', '.join(FORMATS)}.")
    write_table(table, path, name, overwrite=overwrite)


def write_table(
    table: Table,
    path: str | os.PathLike[str],
    name: str,
    *,
    overwrite: bool,
    rows: str = _IMAGES,
    besides: Mapping[str, Any] | None = None,
) -> None:
    """Write a table in one of the formats; in JSON it is a `document`."""
    target = Path(path)
    content = written(table, name, rows=rows, besides=besides)
    with temporary_file(target.parent) as temporary:
        temporary.write_bytes(content)
        try:
            publish(temporary, target, replace=overwrite)
        except FileExistsError:
            raise FileExistsError(f"{str(target)!r} exists; pass overwrite=True to replace it.") from None


def written(table: Table, name: str, *, rows: str = _IMAGES, besides: Mapping[str, Any] | None = None) -> bytes:
    """Return the content of a file in one of the formats."""
    if name == "json":
        return f"{json_text(document(table, rows) | dict(besides or {}))}\n".encode()
    return _WRITERS[name](table)


def document(table: Table, rows: str = _IMAGES) -> dict[str, Any]:
    """Return a table as JSON has it: the rows under their name, each by the names of the columns."""
    # Columns and not rows: a time or a quantity of one row costs as much to make as those of a thousand.
    columns = [_json_values(table[name]) for name in table.colnames]
    return {rows: [dict(zip(table.colnames, row, strict=True)) for row in zip(*columns, strict=True)]}


def _json_values(column: Any) -> list[Any]:
    """Return of each value of a column what `.repository.json_values.json_value` makes of it."""
    if isinstance(column, Time):
        texts = times_as_text(column).tolist()
        return [None if text is None else {"value": text, "scale": "utc"} for text in texts]
    if isinstance(column, u.Quantity):
        unit = str(column.unit)
        return [{"value": value, "unit": unit} for value in json_value(column.value)]
    values: list[Any] = json_value(np.ma.asanyarray(column))
    return values


def _ecsv(table: Table) -> bytes:
    return _text(_with_exact_times(table), "ascii.ecsv")


def _with_exact_times(table: Table) -> QTable:
    exact = QTable(table, copy=False)
    for name in exact.colnames:
        if isinstance(exact[name], Time):
            exact[name] = _exact(exact[name])
    return exact


def _csv(table: Table) -> bytes:
    return _text(_plain(table), "ascii.csv")  # which cannot hold meta


def _text(table: Table, name: str) -> bytes:
    stream = io.StringIO()
    table.write(stream, format=name)
    return stream.getvalue().encode()


def _fits(table: Table) -> bytes:
    """Return a FITS file; times are text that astropy reads as times, and what is not ASCII is in UTF-8.

    astropy would write a time as two numbers of days, which a plain `Table.read` leaves as they are. Other programs
    understand text, too, and astropy's description of the columns says that it is a time.
    """
    encoded = _described(_with_exact_times(table))
    texts = [name for name in table.colnames if getattr(table[name], "dtype", np.dtype(int)).kind == "U"]
    beyond = [name for name in texts if not all(map(str.isascii, _filled(table[name]).tolist()))]
    for name in beyond:
        encoded[name] = np.char.encode(_filled(table[name]), "utf-8")
    # As comments: the names of cards are shorter than those of what a table tells of itself.
    told = [f"{name}: {value}" for name, value in table.meta.items()]
    parts = {key: value for key, value in encoded.meta.items() if key not in table.meta}
    encoded.meta = parts | {"comments": [*told, *(f"Text in the column {name} is UTF-8." for name in beyond)]}
    stream = io.BytesIO()
    encoded.write(stream, format="fits")
    return stream.getvalue()


def _described(table: QTable) -> Table:
    """Return the table with plain columns and astropy's description of what they were, times as text."""
    times = [name for name in table.colnames if isinstance(table[name], Time)]
    if not times:
        return table  # which astropy describes as it writes it
    for name in times:
        table[name].info.serialize_method[None] = "formatted_value"
    found = represent_mixins_as_columns(table)
    for name in times:
        found[name] = found[name].astype(f"U{_CHARACTERS}")  # also without rows
        found[name].info.description = "ISO 8601, UTC"  # without a description of one, astropy writes none of the rest
    return found


def _filled(column: Column) -> Any:
    return np.asarray(column.filled("") if isinstance(column, MaskedColumn) else column)


_WRITERS: Mapping[str, Callable[[Table], bytes]] = {
    "ecsv": _ecsv,
    "csv": _csv,
    "fits": _fits,
    "votable": lambda table: votable_content(_plain(table)),
    "parquet": lambda table: parquet_content(_plain(table)),
}


def _plain(table: Table) -> Table:
    """Return the table with columns that every format has: times are text, masked where they are not known."""
    found = Table(meta=table.meta)
    for name in table.colnames:
        found[name] = times_as_text(table[name]) if isinstance(table[name], Time) else table[name]
    return found


def times_as_text(times: Time) -> Column:
    """Return times in UTC as `.repository.times.format_time` writes each: without zeros at the end."""
    texts = np.asarray(_exact(times.utc).unmasked.isot, np.str_)
    shortened = np.char.rstrip(np.char.rstrip(texts, "0"), ".")
    return MaskedColumn(shortened, mask=np.asarray(times.mask)) if times.masked else Column(shortened)


def _exact(times: Time) -> Time:
    found = times.copy(format="isot")
    found.precision = _DIGITS
    return found

"""Tables of a search in the file formats that others read."""

from __future__ import annotations

__all__ = ("FORMATS", "format_of", "write_images")

import io
import os
from pathlib import Path
from typing import Any

from astropy.io.votable import from_table
from astropy.io.votable.tree import VOTableFile
from astropy.table import Column, QTable, Table
from astropy.time import Time

from ..errors import ConfigurationError, ParameterError
from ..files.temporary import temporary_file
from ..repository.json_values import json_text

FORMATS = {
    "ecsv": (".ecsv",),
    "csv": (".csv",),
    "fits": (".fits",),
    "votable": (".vot", ".xml", ".votable"),
    "parquet": (".parquet",),
    "json": (".json",),
}
"""Formats, and the ends of file names that stand for them."""

_UCDS = {
    "obs_id": "meta.id",
    "detector": "meta.id;instr.det",
    "x": "pos.cartesian.x;instr.det",
    "y": "pos.cartesian.y;instr.det",
    "wavelength": "em.wl",
    "bandwidth": "instr.bandwidth",
    "time": "time.epoch;obs",
    "exposure_time": "time.duration;obs.exposure",
    "ra": "pos.eq.ra",
    "dec": "pos.eq.dec",
    "position_angle": "pos.posAng",
    "dataset_id": "meta.id;meta.dataset",
    "uri": "meta.ref.url",
}
"""What columns mean, in the Virtual Observatory's words (UCD1+)."""


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a file's name stands for.

    Raises
    ------
    ParameterError
        Raised if it stands for none.
    """
    suffix = Path(path).suffix.lower()
    found = next((name for name, suffixes in FORMATS.items() if suffix in suffixes), None)
    if found is None:
        known = ", ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
        raise ParameterError(f"{os.fspath(path)!r} names no known format; expected {known} at its end.")
    return found


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
        text (ISO 8601, UTC) but in ECSV and FITS, where astropy reads them back as times.
    overwrite
        Whether to replace a file that is there.

    Raises
    ------
    FileExistsError
        Raised if the file is there and ``overwrite`` was not given.
    ParameterError
        Raised if there is no such format.
    ConfigurationError
        Raised if Parquet is wanted and pyarrow is not installed.
    """
    name = format_of(path) if format is None else format
    if name not in FORMATS:
        raise ParameterError(f"format={name!r} is not known; expected one of {', '.join(FORMATS)}.")
    target = Path(path)
    if os.path.lexists(target) and not overwrite:
        raise FileExistsError(f"{str(target)!r} exists; pass overwrite=True to replace it.")
    with temporary_file(target.parent) as temporary:
        temporary.write_bytes(written(table, name))
        if overwrite:
            temporary.replace(target)
        else:
            os.link(temporary, target)  # and never over what another process wrote meanwhile


def written(table: Table, name: str) -> bytes:
    """Return the content of a file in one of the formats."""
    stream = io.BytesIO()
    match name:
        case "ecsv":
            return _text(table, "ascii.ecsv")
        case "csv":
            return _text(_plain(table), "ascii.csv")
        case "json":
            return f"{json_text(records(table))}\n".encode()
        case "votable":
            _votable(table).to_xml(stream)
        case "fits":
            QTable(table, copy=False).write(stream, format="fits")
        case _:
            _write_parquet(_plain(table), stream)
    return stream.getvalue()


def records(table: Table) -> list[dict[str, Any]]:
    """Return the rows of a table, each by the names of its columns."""
    return [dict(zip(table.colnames, row, strict=True)) for row in table.iterrows()]


def _text(table: Table, name: str) -> bytes:
    stream = io.StringIO()
    table.write(stream, format=name)
    return stream.getvalue().encode()


def _plain(table: Table) -> Table:
    """Return the table with columns that every format has: times are text."""
    found = Table()
    for name in table.colnames:
        column = table[name]
        if isinstance(column, Time):
            column = Column([str(time) for time in column.utc.isot], name=name, dtype=str, description="UTC")
        found[name] = column
    return found


def _votable(table: Table) -> VOTableFile:
    document = from_table(_plain(table))
    for field in document.get_first_table().fields:
        field.ucd = _UCDS.get(field.name)
        if field.name == "time":
            field.xtype = "timestamp"
    return document


def _write_parquet(table: Table, stream: io.BytesIO) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError("Parquet needs pyarrow: pip install 'spherex-butler[archive]'.") from error
    arrays = {name: pa.array(table[name].tolist()) for name in table.colnames}
    units = {name: {"unit": str(table[name].unit)} if table[name].unit else None for name in table.colnames}
    fields = [pa.field(name, arrays[name].type, metadata=units[name]) for name in table.colnames]
    pq.write_table(pa.table(list(arrays.values()), schema=pa.schema(fields)), stream)

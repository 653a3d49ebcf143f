"""ObsCore rows written as VOTable, Parquet or CSV, some at a time, to a stream of bytes.

A VOTable is TABLEDATA of version 1.4, whose numbers have as many digits as it takes for the same number to come back. A
column of Parquet has its unit, UCD and utype in the metadata of its field. What is not known is empty, or null.
Characters that XML cannot hold are replaced by U+FFFD.
"""

from __future__ import annotations

__all__ = ("FORMATS", "CSVRows", "ParquetRows", "RowWriter", "VOTableRows", "row_writer")

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, Protocol
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.parquet as pq

from .columns import Column, obscore_columns

FORMATS: Mapping[str, tuple[str, ...]] = {
    "votable": (".vot", ".xml", ".votable"),
    "parquet": (".parquet",),
    "csv": (".csv",),
}
"""Formats, and the ends of file names that stand for them."""

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
    '<RESOURCE type="results">\n'
)
_SYSTEMS = (
    '<COOSYS ID="sky" system="ICRS"/>\n'
    '<TIMESYS ID="clock" timeorigin="MJD-origin" timescale="UTC" refposition="TOPOCENTER"/>\n'
)
_REFERENCES = {"s_ra": "sky", "s_dec": "sky", "s_region": "sky", "t_min": "clock", "t_max": "clock"}
_TYPES = {"double": pa.float64(), "long": pa.int64(), "int": pa.int32(), "char": pa.string()}
_UTYPE = "obscore:"
_BETWEEN = "\x1f"  # values, in none of which it is: XML does not allow it
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Info = tuple[str, str, str]
"""The name and value of an INFO element, and the text in it."""


class RowWriter(Protocol):
    """Writes rows to a stream; `end` has to be called when there are no more."""

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows."""

    def end(self) -> None:
        """Write what comes after the rows."""


def row_writer(name: str, stream: BinaryIO) -> RowWriter:
    """Return what writes rows in one of the formats."""
    writers: Mapping[str, Callable[[BinaryIO], RowWriter]] = {
        "votable": VOTableRows,
        "parquet": ParquetRows,
        "csv": CSVRows,
    }
    return writers[name](stream)


class CSVRows:
    """Writes CSV."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._names = list(obscore_columns())
        self._write([self._names])

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows."""
        self._write(_texts(row, self._names) for row in rows)

    def _write(self, lines: Iterable[Iterable[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._stream.write(text.getvalue().encode())

    def end(self) -> None:
        """Write nothing."""


class ParquetRows:
    """Writes Parquet, a row group for the rows of each call."""

    def __init__(self, stream: BinaryIO) -> None:
        self._schema = pa.schema([_field(name, column) for name, column in obscore_columns().items()])
        self._writer = pq.ParquetWriter(stream, self._schema)

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows."""
        self._writer.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=self._schema))

    def end(self) -> None:
        """Write the index of the row groups."""
        self._writer.close()


def _field(name: str, column: Column) -> pa.Field:
    said = {"description": column.doc, "ucd": column.ucd, "unit": column.unit, "utype": _utype(column)}
    metadata = {key: value for key, value in said.items() if value is not None}
    return pa.field(name, _TYPES[column.datatype], metadata=metadata)


class VOTableRows:
    """Writes a VOTable.

    Parameters
    ----------
    stream
        What is written to.
    infos
        What is said before the table.
    """

    def __init__(self, stream: BinaryIO, infos: Iterable[Info] = ()) -> None:
        self._stream = stream
        self._names = list(obscore_columns())
        self._begun = False
        self._infos = list(infos)

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows."""
        self._begin()
        self._say("".join(self._line(row) for row in rows))

    def end(self, infos: Iterable[Info] = ()) -> None:
        """Write what comes after the rows, and last what is said behind the table."""
        self._begin()
        self._say(f"</TABLEDATA></DATA>\n</TABLE>\n{''.join(map(info_element, infos))}</RESOURCE>\n</VOTABLE>\n")

    def _begin(self) -> None:
        if not self._begun:
            fields = "".join(_field_element(name, column) for name, column in obscore_columns().items())
            infos = "".join(map(info_element, self._infos))
            self._say(f"{_HEAD}{infos}{_SYSTEMS}<TABLE>\n{fields}<DATA><TABLEDATA>\n")
            self._begun = True

    def _line(self, row: Mapping[str, Any]) -> str:
        texts = _texts(row, self._names)
        if _NOT_IN_XML.search("".join(texts)):
            texts = [_clean(text) for text in texts]
        cells = escape(_BETWEEN.join(texts)).replace(_BETWEEN, "</TD><TD>")  # escaped at once
        return f"<TR><TD>{cells}</TD></TR>\n"

    def _say(self, text: str) -> None:
        self._stream.write(text.encode())


def info_element(info: Info) -> str:
    """Return an INFO element."""
    name, value, text = info
    return f"<INFO name={quoteattr(name)} value={quoteattr(value)}>{escape(_clean(text))}</INFO>\n"


def _clean(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _field_element(name: str, column: Column) -> str:
    attributes = {
        "name": name,
        "datatype": column.datatype,
        "arraysize": "*" if column.datatype == "char" else None,
        "unit": column.unit,
        "ucd": column.ucd,
        "utype": _utype(column),
        "xtype": column.xtype,
        "ref": _REFERENCES.get(name),
    }
    said = " ".join(f"{key}={quoteattr(value)}" for key, value in attributes.items() if value is not None)
    return f"<FIELD {said}><DESCRIPTION>{escape(column.doc)}</DESCRIPTION></FIELD>\n"


def _utype(column: Column) -> str | None:
    return None if column.utype is None else f"{_UTYPE}{column.utype}"


def _texts(row: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return ["" if (value := row.get(name)) is None else str(value) for name in names]

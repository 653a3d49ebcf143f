"""An astropy table as a VOTable document, and back."""

from __future__ import annotations

__all__ = ("TableFile", "write_table")

import json
import warnings
from typing import Any, BinaryIO, TextIO
from xml.etree.ElementTree import Element, SubElement

from astropy.table import QTable, Table

from ..errors import FormatError
from ._selection import as_slice, select_names
from ._votable_columns import RECORD_INFO, build_column, column_attributes, plan_column
from ._votable_meta import add_meta, read_meta
from ._votable_read import ColumnReader, RowWindow, read_data
from ._votable_write import write_data
from ._votable_xml import Document, serialized

_ROOT = {
    "version": "1.4",
    "xmlns": "http://www.ivoa.net/xml/VOTable/v1.3",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:schemaLocation": "http://www.ivoa.net/xml/VOTable/v1.3 http://www.ivoa.net/xml/VOTable/VOTable-1.4.xsd",
}


def write_table(table: Table, output: TextIO, serialization: str) -> None:
    """Write a table as a VOTable 1.4 document.

    The same table always makes the same document.

    Parameters
    ----------
    table
        The table.
    output
        Where to, as UTF-8.
    serialization
        ``"binary2"``, ``"binary"`` or ``"tabledata"``.

    Raises
    ------
    FormatError
        Raised, naming the column or meta key, for what a VOTable cannot hold.
    """
    root = Element("VOTABLE", _ROOT)
    element = SubElement(SubElement(root, "RESOURCE", type="results"), "TABLE")
    ids: set[str] = set()
    add_meta(element, table.meta, ids)
    element.set("nrows", str(len(table)))
    planned = [plan_column(table[name], serialization, ids) for name in table.colnames]
    records = {name: plan.record for name, plan in zip(table.colnames, planned, strict=True) if plan.record}
    if records:
        # The schema has INFO right after DESCRIPTION.
        info = Element("INFO", name=RECORD_INFO, value=json.dumps(records))
        element.insert(int(element.find("DESCRIPTION") is not None), info)
    element.extend(plan.field for plan in planned)
    if len(table):
        SubElement(element, "DATA")
    before, after = serialized(root)
    output.write(before)
    if len(table):
        output.write("<DATA>")
        columns = [(plan.cells, plan.values, plan.mask) for plan in planned]
        write_data(output, serialization, columns, len(table))
        output.write("</DATA>")
    output.write(after)


class TableFile:
    """A VOTable document whose header has been read, and of whose data only what is asked for will be.

    Parameters
    ----------
    stream
        The document's bytes, from their beginning; read once.

    Raises
    ------
    FormatError
        Raised if the document is no VOTable, or has no table or a damaged header.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._document = Document(stream)
        self._has_data = self._document.read_header()
        fields = self._document.table.findall("FIELD")
        records = self._records()
        names = _unique([field.get("name") or field.get("ID") or "column" for field in fields])
        self._attributes: dict[str, dict[str, Any]] = {}
        for name, field in zip(names, fields, strict=True):
            try:
                self._attributes[name] = column_attributes(field, records.get(name, {}))
            except FormatError as error:
                raise FormatError(f"Column {name!r}: {error}") from None

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._attributes)

    @property
    def rowcount(self) -> int:
        """The number of rows: as the header says, else by counting, after which no data can be read."""
        return self._nrows if self._nrows is not None else self._read_data({}, RowWindow())

    @property
    def _nrows(self) -> int | None:
        text = self._document.table.get("nrows", "")
        return int(text) if text.strip().isdecimal() else None

    def read(self, *, columns: Any = None, rows: Any = None, quantities: bool = False) -> Table:
        """Return the table, or some of it.  Data can be read once.

        Parameters
        ----------
        columns
            A name, a glob or a list of either; `None` for all.
        rows
            A slice with a positive step; `None` for all.
        quantities
            Whether to return a `~astropy.table.QTable`.

        Raises
        ------
        ParameterError
            Raised if there is no such column, or ``rows`` is no such slice.
        FormatError
            Raised if the data are damaged.
        """
        wanted = as_slice(rows)
        window, rest = self._window(wanted)
        chosen = select_names(self.columns, columns, what="column")
        positions = {self.columns.index(name): name for name in chosen}
        readers = {at: ColumnReader(name, self._attributes[name]["cells"]) for at, name in positions.items()}
        rowcount = self._read_data(readers, window)
        if window.stop is None:
            self._check_complete(rowcount)
            self._document.read_tail()
        return self._table({reader.name: reader for reader in readers.values()}, rest, quantities=quantities)

    def empty(self) -> Table:
        """Return the table without its rows."""
        return self.read(rows=slice(0, 0))

    def _window(self, rows: slice) -> tuple[RowWindow, slice]:
        """Return which rows to take while reading, and which of those afterwards."""
        if self._nrows is not None:
            start, stop, step = rows.indices(self._nrows)
            whole = start == 0 and rows.stop is None and step == 1
            return RowWindow(start, None if whole else stop, step), slice(None)
        if (rows.start or 0) < 0 or (rows.stop or 0) < 0:
            return RowWindow(), rows
        return RowWindow(rows.start or 0, rows.stop, rows.step or 1), slice(None)

    def _read_data(self, readers: dict[int, ColumnReader], window: RowWindow) -> int:
        if not self._has_data or window.ends_before(0):
            return 0
        cells = [attributes["cells"] for attributes in self._attributes.values()]
        rowcount = read_data(self._document.data(), cells, readers, window, nrows=self._nrows)
        if window.stop is None:
            for _ in self._document.data():
                pass
        return rowcount

    def _check_complete(self, rowcount: int) -> None:
        if self._nrows is not None and rowcount != self._nrows:
            raise FormatError(
                f"The VOTable says nrows={self._nrows} but has {rowcount} rows of data; it is damaged or incomplete."
            )

    def _table(self, readers: dict[str, ColumnReader], rest: slice, *, quantities: bool) -> Table:
        version = self._document.ancestors[0].get("version", "1.4")
        table = (QTable if quantities else Table)(meta=read_meta(self._document))
        for name, reader in readers.items():
            values, mask = reader.result()
            data = values[rest], mask[rest]
            column = build_column(name, data, self._attributes[name], version=version, quantity=quantities)
            with warnings.catch_warnings():
                # That strings with a unit are no quantity is what they were before.
                warnings.filterwarnings("ignore", "column .* has a unit but is kept as a Column")
                table.add_column(column, name=name, copy=False)
        return table

    def _records(self) -> dict[str, dict[str, Any]]:
        for info in self._document.table.findall("INFO"):
            if info.get("name") == RECORD_INFO:
                try:
                    records = json.loads(info.get("value", ""))
                    return {name: dict(record) for name, record in records.items()}
                except (ValueError, AttributeError, TypeError) as error:
                    raise FormatError(f"The INFO {RECORD_INFO!r} is damaged: {error}.") from None
        return {}


def _unique(names: list[str]) -> list[str]:
    """Return the names, those that come again with a number, as astropy has it."""
    unique: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in unique:
            candidate, number = f"{name}{number}", number + 1
        unique.append(candidate)
    return unique

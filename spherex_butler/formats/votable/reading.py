"""A VOTable document as an astropy table.

What astropy reads is put right by the record of the document, if this package
wrote it.  Columns of other programs' files are masked only where values are
missing; their meta are the attributes of the ``TABLE`` and each ``INFO`` and
``PARAM`` in or around it.
"""

from __future__ import annotations

__all__ = ("TableFile",)

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, BinaryIO

import astropy.units as u
import numpy as np
from astropy.io.votable.tree import Field
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from numpy.typing import NDArray

from ...errors import FormatError
from ..selection import as_slice, select_names
from .document import Document, parse_document, parse_unit, quiet
from .writing import DATATYPES, RECORD_INFO, STRINGS

_log = logging.getLogger(__name__)

_DTYPES = {datatype: np.dtype(name) for name, datatype in DATATYPES.items()} | {"bit": np.dtype(bool)}


class TableFile:
    """A VOTable document whose header has been read.

    The stream must be seekable.
    """

    def __init__(self, stream: BinaryIO, *, quantities: bool = False) -> None:
        self._stream, self._quantities = stream, quantities
        self._header = parse_document(stream, header_only=True)
        self._columns, self._meta = _records(self._header)
        self._fields = self._header.table.all_fields

    @property
    def columns(self) -> list[str]:
        """The names of the columns; a repeated one gets a number, as in astropy."""
        names: list[str] = []
        for field in self._fields:
            name, number = field.name, 2
            while name in names:
                name, number = f"{field.name}{number}", number + 1
            names.append(name)
        return names

    @property
    def rowcount(self) -> int:
        """The number of rows: as the header says, else by reading the data."""
        nrows = self._header.nrows
        return len(parse_document(self._stream).table.array) if nrows is None else nrows

    def empty(self) -> Table:
        """Return the table without its rows, for which the header suffices."""
        return self._table(self._header, self.columns, slice(None))

    def read(self, *, columns: Any = None, rows: Any = None) -> Table:
        """Return the table, or some of it.

        ``columns`` is a name, a glob or a list of either; ``rows`` a slice with a positive step.
        """
        window = as_slice(rows)
        chosen = select_names(self.columns, columns, what="column")
        document = self._header
        if chosen:
            document = parse_document(self._stream, columns=[self.columns.index(name) for name in chosen])
            rowcount = len(document.table.array)
            if document.nrows not in {None, rowcount}:
                raise FormatError(
                    f"The VOTable says nrows={document.nrows} but has {rowcount} rows of data; "
                    "it is damaged or incomplete."
                )
            if document.nrows is None and document.stream and (unread := document.unread()):
                raise FormatError(
                    f"The VOTable has {unread} bytes of data behind its {rowcount} rows, which are no whole row; it is "
                    "damaged or incomplete."
                )
        if document.table_count > 1:
            _log.warning("The VOTable holds %d TABLEs; only the first was read.", document.table_count)
        return self._table(document, chosen, window)

    def _table(self, document: Document, names: list[str], rows: slice) -> Table:
        table = (QTable if self._quantities else Table)(meta=_meta(document) | self._meta)
        fields = document.table.fields if names else []
        records = [self._columns.get(field.ID, {}) for field in fields]
        with quiet():
            # Finding the flags means parsing the data once more.
            flags = document.null_flags() if any(map(_needs_flags, fields, records)) else None
            for name, field, record in zip(names, fields, records, strict=True):
                flagged = None if flags is None else flags[:, self.columns.index(name)]
                values, mask = _values(document.table.array[field.ID], field, record, flagged)
                table[name] = _column(values[rows], mask[rows], field, record, quantity=self._quantities)
        return table


def _needs_flags(field: Field, record: Mapping[str, Any]) -> bool:
    """Return whether only flags tell which values of a column are missing, if any can be."""
    return (field.datatype in STRINGS or "nan" in record) and ("masked" in record or not record)


def _records(document: Document) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return what this package recorded of the columns and as meta, if it wrote the document."""
    infos = (info for owner in document.owners for info in owner.infos)
    text = next((info.value for info in infos if info.name == RECORD_INFO), '{"columns": {}, "meta": {}}')
    try:
        record = json.loads(text)
        for column in record["columns"].values():
            np.dtype(column.get("dtype"))
        return record["columns"], {**record["meta"]}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise FormatError(f"The INFO {RECORD_INFO!r} is damaged: {error!r}.") from None


def _values(
    array: Any, field: Field, record: Mapping[str, Any], flags: NDArray[np.bool_] | None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a column's values, in the dtype that was written, and its mask."""
    values, mask = np.ma.getdata(array), np.ma.getmaskarray(array)
    missing = np.zeros(len(values), bool) if flags is None else flags
    if "shape" in record:  # of cells without elements, in early files
        values = np.zeros((len(values), *record["shape"]))
        mask = np.zeros(values.shape, bool)
    elif field.datatype in STRINGS or "nan" in record:  # only flags say what is missing
        if field.datatype in STRINGS and record.get("dtype") != "object":
            values = np.array([str(text) for text in values], str)  # as long as the longest, without a record
        mask = np.broadcast_to(missing.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    elif values.dtype.kind == "O":
        return _arrays(values, field, record), np.zeros(len(values), bool)
    elif values.dtype.kind in "iu":
        values = np.where(mask, values.dtype.type(0), values)  # what marks missing ones may not fit the dtype
    return _restored(values, field, record), mask


def _arrays(values: NDArray[Any], field: Field, record: Mapping[str, Any]) -> NDArray[Any]:
    """Return arrays of variable length, masked ones where integers or bools are missing."""
    dtype = _DTYPES[field.datatype]
    inner = [int(size) for size in reversed(re.findall(r"\d+(?=x)", field.arraysize))]
    arrays = np.empty(len(values), object)
    for row, cell in enumerate(values):
        array = _restored(np.ma.getdata(cell).astype(dtype), field, record).reshape(-1, *inner)
        masked = dtype.kind not in "fc" and np.ma.getmaskarray(cell).any()
        arrays[row] = np.ma.MaskedArray(array, cell.mask) if masked else array
    return arrays


def _restored(values: NDArray[Any], field: Field, record: Mapping[str, Any]) -> NDArray[Any]:
    """Return values in the dtype that was written."""
    dtype = np.dtype(record.get("dtype", values.dtype))
    if dtype.kind == "S":
        values = np.char.encode(values, "utf-8")
    restored = values.astype(dtype)
    if dtype.kind not in "fc" and not np.array_equal(restored, values):
        raise FormatError(f"Column {field.name!r} is recorded as {dtype.name!r}, but has values of another kind.")
    return restored


def _column(
    values: NDArray[Any], mask: NDArray[np.bool_], field: Field, record: Mapping[str, Any], *, quantity: bool
) -> Any:
    unit, masked = parse_unit(field.unit), "masked" in record or bool(mask.any())
    column: Any
    if quantity and unit is not None and values.dtype.kind in "iufc":
        column = u.Quantity(values, unit, dtype=values.dtype, subok=True)
        column = Masked(column, mask=mask) if masked else column
    else:
        column = MaskedColumn(values, mask=mask, unit=unit) if masked else Column(values, unit=unit)
    column.info.description = record.get("description", _said(field.description))
    column.info.format = record.get("format")
    attributes = ((key, getattr(field, key)) for key in ("ucd", "utype", "xtype", "ref", "width", "precision"))
    column.info.meta = {key: value for key, value in attributes if value is not None} | record.get("meta", {})
    return column


def _said(description: str | None) -> str | None:
    """Return a description without the line breaks of the file."""
    return " ".join((description or "").split()) or None


def _meta(document: Document) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    for owner in document.owners:
        meta |= {info.name: info.value for info in owner.infos if info.name != RECORD_INFO}
        meta |= {param.name: _param_value(param) for param in owner.params}
    table = document.table
    meta |= {key: getattr(table, key) for key in ("name", "ucd", "utype") if getattr(table, key) is not None}
    return meta | ({"description": _said(table.description)} if table.description else {})


def _param_value(param: Any) -> Any:
    value = param.value
    if isinstance(value, np.ndarray):
        value = np.ma.getdata(value).astype(_DTYPES[param.datatype])
    if param.unit is not None and param.datatype not in STRINGS:
        return u.Quantity(value, parse_unit(param.unit), dtype=_DTYPES[param.datatype], subok=True)
    return value.item() if isinstance(value, np.generic) else value

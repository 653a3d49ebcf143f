"""Columns of an astropy table as ``FIELD`` elements, and what they were before.

What a ``FIELD`` cannot say of a column is kept beside it, in one ``INFO`` of
the table (`RECORD_INFO`) that holds a JSON mapping of column name to record.
A record only has what reading the ``FIELD`` would not give back:

``dtype``
    What the values are in numpy.  VOTable has no int8, uint16 and uint32,
    which are written one size wider; no uint64, written as int64 where all
    values fit; no float16, written as float32; and no bytes, written as text.
``nan``
    ``"value"`` where NaN is a value of its own and not a missing one.
``blank``
    ``"null"`` where an empty string in ``TABLEDATA`` is a missing one.
``inner``
    The shape of what an array of variable length holds, if not scalars;
    VOTable's own way to say so is read differently by different programs.
``masked``, ``class``, ``wrap_angle``, ``unit``, ``description``, ``format``, ``meta``
    Of the column; ``class`` is that of a quantity that is more than a
    `~astropy.units.Quantity`.

Values under a mask are not kept.
"""

from __future__ import annotations

__all__ = ("RECORD_INFO", "PlannedColumn", "build_column", "column_attributes", "plan_column")

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, Latitude, Longitude
from astropy.table import Column, MaskedColumn
from astropy.units.function import FunctionUnitBase
from astropy.utils.masked import Masked

from ..errors import FormatError
from ._tables import dtype_name
from ._votable_cells import Cells, StringCells, VariableCells, cells_of
from ._votable_elements import Array, Mask
from ._votable_json import json_ready
from ._votable_units import parse_unit, unit_text
from ._votable_values import Stored, stored_values
from ._votable_xml import is_xml_text

RECORD_INFO = "spherex_butler.columns"
"""The name of the ``INFO`` element with the columns' records."""

_ATTRIBUTES = ("ID", "ucd", "utype", "xtype", "width", "precision")
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_QUANTITIES = {kind.__name__: kind for kind in (Angle, Latitude, Longitude)}
_RECORDED_DTYPE = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)|[US]\d+|object|str")


@dataclass(frozen=True, slots=True)
class PlannedColumn:
    """A column ready to be written.

    Parameters
    ----------
    field
        The ``FIELD`` element.
    record
        What the element cannot say.
    cells, values, mask
        How the values are stored, and they themselves.
    """

    field: Element
    record: dict[str, Any]
    cells: Cells
    values: Array
    mask: Mask


def plan_column(column: Any, serialization: str, ids: set[str]) -> PlannedColumn:
    """Return how a column of a table is to be written.

    Parameters
    ----------
    column
        A column or quantity.
    serialization
        ``"binary2"``, ``"binary"`` or ``"tabledata"``.
    ids
        The XML IDs taken already; the column's is added.

    Raises
    ------
    FormatError
        Raised, naming the column, if a VOTable cannot hold it.
    """
    what = f"Column {column.info.name!r}"
    if not is_xml_text(column.info.name):
        raise FormatError(f"{what} has a name with characters that XML cannot hold; rename it.")
    values, mask = _data_of(column, what)
    wanted = _described(column, what)
    stored = stored_values(values, mask, serialization, what)
    wanted |= {"dtype": stored.original, **stored.options}
    field = _field(column.info.name, wanted, stored, ids)
    cells = cells_of(field, **_options(stored.options))
    given = column_attributes(field, {})
    record = {key: value for key, value in wanted.items() if key != "meta" and value != given.get(key)}
    extra = {key: value for key, value in wanted["meta"].items() if given["meta"].get(key) != value}
    if extra:
        record["meta"] = extra
    return PlannedColumn(field, record, cells, stored.values, stored.mask)


def column_attributes(field: Element, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a ``FIELD`` and its record say of a column.

    Parameters
    ----------
    field
        The element.
    record
        Its record; empty for a file of another program.

    Returns
    -------
    attributes
        With the keys of a record, and ``cells``.

    Raises
    ------
    FormatError
        Raised if the datatype is none of VOTable's.
    """
    cells = cells_of(field, **_options(record))
    names = {"name", "datatype", "arraysize", "unit"}
    meta: dict[str, Any] = {key: value for key, value in field.attrib.items() if key not in names}
    if meta.get("ID") == field.get("name", meta.get("ID")):
        meta.pop("ID", None)
    details = [element_dict(child) for child in field if not _is_understood(child)]
    if details:
        meta["votable"] = details
    description = (field.findtext("DESCRIPTION") or "").strip() or None
    attributes = {"unit": field.get("unit") or None, "description": description, "dtype": _dtype(cells)}
    return {"masked": False, **attributes, **record, "meta": {**meta, **record.get("meta", {})}, "cells": cells}


def element_dict(element: Element) -> dict[str, Any]:
    """Return an element as nested mappings: ``element``, its attributes, ``text`` and ``content``."""
    text = (element.text or "").strip()
    result: dict[str, Any] = {"element": element.tag, **element.attrib}
    if text:
        result["text"] = text
    if len(element):
        result["content"] = [element_dict(child) for child in element]
    return result


def build_column(
    name: str, data: tuple[Array, Mask], attributes: Mapping[str, Any], *, version: str, quantity: bool
) -> Any:
    """Return a column as it was before it was written.

    Parameters
    ----------
    name
        Its name.
    data
        Values and mask, as read.
    attributes
        As by `column_attributes`.
    version
        The VOTable's version.
    quantity
        Whether numbers with a unit become a `~astropy.units.Quantity`.

    Raises
    ------
    FormatError
        Raised if the values are not what the record says.
    """
    values, mask = data
    values = _restored(values, attributes, name)
    unit = None if attributes["unit"] is None else parse_unit(attributes["unit"], version)
    masked = attributes["masked"] or bool(mask.any())
    column: Any
    if quantity and unit is not None and values.dtype.kind in "iufc":
        column = _quantity(values, unit, attributes)
        column = Masked(column, mask=mask) if masked else column
    elif masked:
        column = MaskedColumn(values, mask=mask, unit=unit)
    else:
        column = Column(values, unit=unit)
    column.info.name = name
    column.info.description = attributes["description"]
    column.info.format = attributes.get("format")
    column.info.meta = dict(attributes["meta"])
    return column


def _data_of(column: Any, what: str) -> tuple[Array, Mask]:
    plain = column.unmasked if isinstance(column, Masked) else column
    known = (u.Quantity, u.Magnitude, u.Dex, u.Decibel, *_QUANTITIES.values())
    if type(plain) not in known and not isinstance(plain, Column):
        raise FormatError(
            f"{what} is a {type(column).__name__}, which a VOTable cannot hold; split it into plain columns, "
            "or store the table as HDF5Table."
        )
    if isinstance(column, Masked):
        return np.asarray(plain.value), np.asarray(column.mask)
    data = plain.value if isinstance(plain, u.Quantity) else plain.data
    return np.ma.getdata(data), np.broadcast_to(np.ma.getmaskarray(data), plain.shape)


def _described(column: Any, what: str) -> dict[str, Any]:
    plain = column.unmasked if isinstance(column, Masked) else column
    info = column.info
    described: dict[str, Any] = {
        "unit": None if info.unit is None else unit_text(info.unit, what),
        "description": json_ready(info.description, f"The description of {what}"),
        "meta": json_ready(dict(info.meta or {}), f"The meta of {what}"),
        "masked": isinstance(column, MaskedColumn | Masked),
    }
    if info.format is not None:
        described["format"] = json_ready(info.format, f"The format of {what}")
    if type(plain).__name__ in _QUANTITIES:
        described["class"] = type(plain).__name__
    if isinstance(plain, Longitude):
        described["wrap_angle"] = plain.wrap_angle.deg
    return described


def _field(name: str, wanted: Mapping[str, Any], stored: Stored, ids: set[str]) -> Element:
    field = Element("FIELD", {"name": name, "datatype": stored.datatype})
    if stored.arraysize is not None:
        field.set("arraysize", stored.arraysize)
    if wanted["unit"]:
        field.set("unit", wanted["unit"])
    for key in _ATTRIBUTES:
        value = wanted["meta"].get(key)
        if isinstance(value, str) and is_xml_text(value) and (key != "ID" or _is_free(value, ids)):
            field.set(key, value)
    if isinstance(wanted["description"], str) and is_xml_text(wanted["description"]):
        SubElement(field, "DESCRIPTION").text = wanted["description"]
    if stored.null is not None:
        SubElement(field, "VALUES", null=str(stored.null))
    return field


def _is_free(identifier: str, ids: set[str]) -> bool:
    free = _ID.fullmatch(identifier) is not None and identifier not in ids
    ids.add(identifier)
    return free


def _is_understood(element: Element) -> bool:
    return element.tag == "DESCRIPTION" or (
        element.tag == "VALUES" and set(element.attrib) <= {"null"} and len(element) == 0
    )


def _options(record: Mapping[str, Any]) -> dict[str, bool]:
    return {"nan_is_null": record.get("nan") != "value", "blank_is_null": record.get("blank") == "null"}


def _dtype(cells: Cells) -> str:
    if isinstance(cells, StringCells):
        return "str"
    return dtype_name(cells.elements.dtype)


def _restored(values: Array, attributes: Mapping[str, Any], name: str) -> Array:
    """Return values in the dtype they had."""
    recorded, cells = attributes["dtype"], attributes["cells"]
    if not isinstance(recorded, str) or not _RECORDED_DTYPE.fullmatch(recorded):
        raise FormatError(f"Column {name!r} is recorded as dtype {recorded!r}, which is none that is written.")
    if recorded == "str":
        return values
    if not isinstance(cells, VariableCells):
        return _as_dtype(values, recorded, name)
    inner = attributes.get("inner", list(cells.inner))
    restored = np.empty(len(values), object)
    for row, value in enumerate(values):
        restored[row] = _as_dtype(value, recorded, name).reshape(-1, *inner)
    return restored


def _as_dtype(values: Array, recorded: str, name: str) -> Array:
    dtype = np.dtype(recorded)
    if dtype.kind == "S":
        return np.char.encode(values, "utf-8").astype(dtype)
    restored = values.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(restored, values):
        raise FormatError(f"Column {name!r} is recorded as {recorded}, but has values that are none.")
    # Services write strings longer than they say: those are kept whole.
    return values if dtype.kind == "U" and not np.array_equal(restored, values) else restored


def _quantity(values: Array, unit: u.UnitBase, attributes: Mapping[str, Any]) -> Any:
    if isinstance(unit, FunctionUnitBase):
        return values << unit
    kind = _QUANTITIES.get(attributes.get("class", ""))
    if kind is None:
        return u.Quantity(values, unit, dtype=values.dtype, copy=False)
    options = {"wrap_angle": attributes["wrap_angle"] * u.deg} if kind is Longitude else {}
    return kind(values, unit, dtype=values.dtype, **options)

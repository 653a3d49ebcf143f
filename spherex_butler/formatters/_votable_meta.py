"""The meta of a table as a VOTable's header, and a VOTable's header as the meta of a table.

``ID``, ``name``, ``ucd``, ``utype`` and ``description`` are what VOTable says
of a table by itself.  Every other key is a ``PARAM``: strings, bools, ints,
floats, complex numbers, quantities, arrays of numbers as what they are; lists,
dicts and `None` as JSON, with ``xtype="json"``.  Numpy scalars come back as
Python's.  What none of this can keep is an error.

From files of other programs also comes what describes the whole document:
each ``PARAM`` and ``INFO`` by its name, and whatever has more to say than a
name and a value (``GROUP``, ``COOSYS``, a ``PARAM``'s UCD …) as nested
mappings under the key ``votable``.
"""

from __future__ import annotations

__all__ = ("add_meta", "read_meta")

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import astropy.units as u
import numpy as np

from ..errors import FormatError
from ._tables import dtype_name
from ._votable_cells import cells_of
from ._votable_columns import RECORD_INFO, element_dict
from ._votable_json import json_ready
from ._votable_units import parse_unit, unit_text
from ._votable_values import stored_values
from ._votable_xml import Document, is_xml_text

_log = logging.getLogger(__name__)

_ATTRIBUTES = ("ID", "name", "ucd", "utype")
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLAIN = {"PARAM": {"name", "value", "datatype", "arraysize", "unit"}, "INFO": {"name", "value"}}
_INT64 = range(-(1 << 63), 1 << 63)


def add_meta(table: Element, meta: Mapping[Any, Any], ids: set[str]) -> None:
    """Write a table's meta into its ``TABLE`` element.

    Parameters
    ----------
    table
        The element, still empty.
    meta
        The table's meta.
    ids
        The XML IDs taken already; the table's is added.

    Raises
    ------
    FormatError
        Raised, naming the key, for what a VOTable cannot keep.
    """
    attributes = {key: value for key, value in meta.items() if key in _ATTRIBUTES and _is_attribute(key, value)}
    table.attrib.update(attributes)
    ids.update({attributes["ID"]} if "ID" in attributes else ())
    description = meta.get("description")
    described = isinstance(description, str) and is_xml_text(description) and description == description.strip() != ""
    if described:
        SubElement(table, "DESCRIPTION").text = description
    for key, value in meta.items():
        if key not in attributes and not (described and key == "description"):
            table.append(_param(key, value))


def read_meta(document: Document) -> dict[str, Any]:
    """Return the meta of a table: what was read of the document so far, but for its columns."""
    table, version = document.table, document.ancestors[0].get("version", "1.4")
    meta: dict[str, Any] = {key: value for key, value in table.attrib.items() if key != "nrows"}
    if description := (table.findtext("DESCRIPTION") or "").strip():
        meta["description"] = description
    details = []
    for element in _elements(document, table):
        name = element.get("name")
        named = element.tag in _PLAIN and name is not None and name not in meta
        if named and name is not None:
            meta[name] = _param_value(element, version) if element.tag == "PARAM" else element.get("value")
        if not (named and _is_plain(element)):
            details.append(element_dict(element))
    if details:
        meta["votable"] = details
    return meta


def _is_attribute(key: str, value: Any) -> bool:
    return isinstance(value, str) and is_xml_text(value) and (key != "ID" or _ID.fullmatch(value) is not None)


def _param(key: Any, value: Any) -> Element:
    what = f"The meta key {key!r}"
    if not isinstance(key, str) or not is_xml_text(key):
        raise FormatError(
            f"{what} cannot be the name of a VOTable PARAM; expected a string without control characters."
        )
    if isinstance(value, u.Quantity) or (isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)):
        return _array_param(key, value, what)
    if isinstance(value, np.generic) and value.dtype.kind in "biufcU" and not isinstance(value, np.longdouble):
        value = value.item()
    if isinstance(value, str) and is_xml_text(value):
        datatype = "char" if value.isascii() else "unicodeChar"
        return Element("PARAM", {"name": key, "datatype": datatype, "arraysize": "*", "value": str(value)})
    if isinstance(value, (bool, float, complex)) or (isinstance(value, int) and value in _INT64):
        return _array_param(key, np.asarray(value), what)
    text = json.dumps(json_ready(value, what))
    return Element("PARAM", {"name": key, "datatype": "char", "arraysize": "*", "xtype": "json", "value": text})


def _array_param(key: str, value: Any, what: str) -> Element:
    array = np.asarray(value.value if isinstance(value, u.Quantity) else value)
    if array.dtype.kind not in "biufc" or (isinstance(value, u.Quantity) and hasattr(value, "mask")):
        raise FormatError(f"{what} is {value!r}, an array a VOTable PARAM cannot keep; convert it to a list.")
    stored = stored_values(array[np.newaxis], np.zeros((1, *array.shape), bool), "tabledata", what)
    if stored.original != dtype_name(stored.values.dtype):
        raise FormatError(
            f"{what} has dtype {stored.original!r}, which a VOTable PARAM cannot keep; "
            f"convert it to {dtype_name(stored.values.dtype)!r} or to a list."
        )
    param = Element("PARAM", {"name": key, "datatype": stored.datatype})
    if stored.arraysize is not None:
        param.set("arraysize", stored.arraysize)
    if isinstance(value, u.Quantity):
        param.set("unit", unit_text(value.unit, what))
    cells = cells_of(param)
    param.set("value", cells.format(stored.values, stored.mask)[0])
    return param


def _param_value(param: Element, version: str) -> Any:
    text = param.get("value", "")
    try:
        if param.get("xtype") == "json":
            return json.loads(text)
        values, mask = cells_of(param, nan_is_null=False).parse([text])
    except ValueError as error:
        _log.warning("PARAM %r: %s Taking its value as text: %r", param.get("name"), error, text)
        return text
    if mask.size and mask.all():
        return None
    value = np.ma.MaskedArray(values[0], mask[0]) if mask.any() else values[0]
    if "unit" in param.attrib and values.dtype.kind in "iufc":
        return u.Quantity(value, parse_unit(param.get("unit", ""), version), dtype=values.dtype)
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind == "U" else value
    return value.item() if isinstance(value, np.generic) else value


def _elements(document: Document, table: Element) -> Iterator[Element]:
    """Yield what describes the table or a document that holds it."""
    for parent in (*document.ancestors, table):
        for child in parent:
            hidden = child.tag == "DESCRIPTION" and parent is table
            of_tables = child.tag == "TABLE" or child.find(".//TABLE") is not None
            if not (hidden or of_tables or child.tag in {"FIELD", "DATA"} or child.get("name") == RECORD_INFO):
                yield child


def _is_plain(element: Element) -> bool:
    """Whether an element says no more than a name and a value."""
    attributes = set(element.attrib) - ({"xtype"} if element.get("xtype") == "json" else set())
    return attributes <= _PLAIN[element.tag] and len(element) == 0 and not (element.text or "").strip()

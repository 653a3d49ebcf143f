"""An astropy table as a VOTable 1.4 document."""

from __future__ import annotations

__all__ = ("DATATYPES", "RECORD_INFO", "STRINGS", "write_table")

import io
import itertools
import json
import re
from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.io.votable.tree import Field, Info, Param, Resource, TableElement, VOTableFile
from astropy.table import Column, MaskedColumn, Table
from astropy.units.function import FunctionQuantity
from astropy.utils.masked import Masked
from astropy.utils.xml.check import fix_id
from numpy.typing import NDArray

from ...errors import FormatError
from ..tables import dtype_name
from .document import CELL_LIMIT, quiet, unit_text

RECORD_INFO = "spherex_butler"
"""The name of the ``INFO`` element with what VOTable cannot say."""

DATATYPES = {
    "bool": "boolean",  # astropy has "bit", which cannot be missing: https://github.com/astropy/astropy/issues/18277
    "uint8": "unsignedByte",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "complex64": "floatComplex",
    "complex128": "doubleComplex",
}
"""The datatypes of numbers, by their names in numpy."""

STRINGS = frozenset({"char", "unicodeChar"})
"""The datatypes of strings."""

_WIDER = {"int8": "int16", "uint16": "int32", "uint32": "int64", "uint64": "int64", "float16": "float32"}
_PARAMS = {bool: "boolean", int: "long", float: "double", complex: "doubleComplex", str: "unicodeChar"}
_UNSAFE = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNSAFE_PARAM = re.compile(f"{_UNSAFE.pattern}|[&<>]")  # of which astropy escapes the last three twice
_HINT = "convert it, or store the table as HDF5Table."


class _Stored(NamedTuple):
    """Cells as astropy.io.votable is to write them."""

    datatype: str
    arraysize: str | None
    cells: NDArray[Any]
    mask: NDArray[np.bool_]
    record: dict[str, Any]
    null: int | None = None


def write_table(table: Table, serialization: str) -> bytes:
    """Return the VOTable document that holds a table; the same table always makes the same document.

    ``serialization`` is ``"binary2"``, ``"binary"`` or ``"tabledata"``.
    """
    votable = VOTableFile(config={"verify": "ignore"}, version="1.4")
    resource, element = Resource(), TableElement(votable, nrows=len(table), config=votable.config)
    votable.resources.append(resource)
    resource.tables.append(element)
    columns = [(column, _stored(column, serialization)) for column in table.itercols()]
    with quiet():
        record: dict[str, Any] = {"columns": {}, "meta": _add_meta(element, table.meta, votable)}
        for column, stored in columns:
            ID = _new_id(column.info.name, {field.ID for field in element.fields})
            field, described = _field(ID, column, stored, votable)
            element.fields.append(field)
            record["columns"] |= {ID: described} if described else {}
        if any(record.values()):
            resource.infos.append(Info(name=RECORD_INFO, value=json.dumps(record), config=votable.config))
        element.create_arrays(len(table))
        for field, (_, stored) in zip(element.fields, columns, strict=True):
            element.array.data[field.ID][...] = stored.cells
            element.array.mask[field.ID][...] = stored.mask
        output = io.BytesIO()
        votable.to_xml(output, tabledata_format=serialization)
    return output.getvalue()


def _new_id(name: str, taken: set[str]) -> str:
    """Return an ID, which is what many readers call a column: its name, as nearly as XML has it."""
    base = fix_id(name) or "column"
    numbered = (f"{base}_{number}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([base], numbered) if candidate not in taken)


def _field(ID: str, column: Any, stored: _Stored, votable: VOTableFile) -> tuple[Field, dict[str, Any]]:
    """Return the ``FIELD`` of a column and its record."""
    info, what = column.info, f"Column {column.info.name!r}"
    if _UNSAFE.search(info.name):
        raise FormatError(f"{what} has a name with control characters, which an XML attribute cannot hold; rename it.")
    _check_unit(info.unit, what)
    meta = dict(info.meta or {})
    native = {key: meta.pop(key) for key in ("ucd", "utype", "xtype") if _is_attribute(meta.get(key))}
    kwargs = {"name": info.name, "unit": info.unit, "datatype": stored.datatype, "arraysize": stored.arraysize}
    field = Field(votable, ID=ID, config=votable.config, **kwargs, **native)
    field.values.null = stored.null
    field.description = _one_line(info.description)
    said = {
        "masked": isinstance(column, MaskedColumn | Masked) or None,
        "description": info.description,  # which astropy breaks into lines, at hyphens too
        "format": info.format,
        "meta": meta or None,
    }
    kept = {key: _json_ready(value, f"The {key} of {what}") for key, value in said.items() if value is not None}
    return field, stored.record | kept


def _is_attribute(value: Any) -> bool:
    return isinstance(value, str) and not _UNSAFE.search(value)


def _check_unit(unit: u.UnitBase | None, what: str) -> None:
    if unit is not None and unit_text(unit) is None:
        raise FormatError(f"{what} has the unit {unit!r}, which cannot be read back from text; {_HINT}")


def _one_line(text: Any) -> str | None:
    """Return a description as its element can hold it."""
    return " ".join(_UNSAFE.sub(" ", text).split()) or None if isinstance(text, str) else None


# Values.


def _stored(column: Any, serialization: str) -> _Stored:
    what = f"Column {column.info.name!r}"
    plain = column.unmasked if isinstance(column, Masked) else column
    if type(plain) is not u.Quantity and not isinstance(plain, Column | FunctionQuantity):
        raise FormatError(
            f"{what} is a {type(column).__name__}, which a VOTable cannot hold; split it into plain columns or "
            "quantities, or store the table as HDF5Table."
        )
    data = plain.value if isinstance(plain, u.Quantity) else plain.data
    mask = np.array(column.mask) if isinstance(column, Masked) else np.ma.getmaskarray(data)
    values = np.ma.getdata(data)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "O" and not all(isinstance(value, str) for value in values[~mask].flat):
        return _arrays(values, mask, what)
    if values.dtype.kind in "USO":
        return _strings(values, mask, serialization, what)
    return _numbers(values, mask, serialization, what)


def _numbers(values: NDArray[Any], mask: NDArray[np.bool_], serialization: str, what: str) -> _Stored:
    held = _held(values, mask, what)
    if not 0 < (size := prod(values.shape[1:])) <= CELL_LIMIT:
        raise FormatError(f"{what} has cells of {size} elements; expected 1 to {CELL_LIMIT}; {_HINT}")
    datatype = DATATYPES[held.dtype.name]
    arraysize = "x".join(str(size) for size in reversed(values.shape[1:])) or None  # astropy does not reverse it
    record: dict[str, Any] = {"dtype": dtype_name(values.dtype)} if held.dtype != values.dtype else {}
    if held.dtype.kind not in "fc":
        null = _null(held, mask, what) if mask.any() and (held.ndim > 1 or serialization == "binary") else None
        return _Stored(datatype, arraysize, np.where(mask, held.dtype.type(null or 0), held), mask, record, null)
    if np.isnan(held[~mask]).any():
        record |= {"nan": True}
        _check_flags(mask, serialization, f"{what} has masked values and NaN")
    missing = held.dtype.type(complex(np.nan, np.nan) if held.dtype.kind == "c" else np.nan)
    # Masked complex numbers astropy writes as one number: NaN says it.
    return _Stored(datatype, arraysize, np.where(mask, missing, held), mask & (serialization == "binary2"), record)


def _held(values: NDArray[Any], mask: NDArray[np.bool_], what: str) -> NDArray[Any]:
    """Return numbers or bools in a dtype that VOTable has."""
    name = values.dtype.name
    wider = _WIDER.get(name, name)
    if wider not in DATATYPES:
        raise FormatError(f"{what} has dtype {name!r}, which a VOTable cannot hold; {_HINT}")
    if name == "uint64" and (largest := values[~mask].max(initial=0)) > np.iinfo(np.int64).max:
        raise FormatError(
            f"{what} has dtype 'uint64' and the value {largest}; the widest integer of a VOTable is int64; {_HINT}"
        )
    return values.astype(wider, copy=False)


def _check_flags(mask: NDArray[np.bool_], serialization: str, what: str) -> None:
    """Check that null flags can tell which values are missing, where nothing else does."""
    cells = mask.reshape(len(mask), prod(mask.shape[1:]))
    if mask.any() and (serialization != "binary2" or (cells.any(axis=1) != cells.all(axis=1)).any()):
        raise FormatError(
            f"{what}, which only 'binary2' can tell apart, and only if all of a cell is masked; fill one of them, "
            "use that recipe, or store the table as HDF5Table."
        )


def _null(values: NDArray[Any], mask: NDArray[np.bool_], what: str) -> int | None:
    """Return an integer that no value has, to mark missing ones."""
    if values.dtype.kind == "b":
        return None
    limits, taken = np.iinfo(values.dtype), set(values[~mask].tolist())
    null = next((value for value in range(limits.min, limits.max + 1) if value not in taken), None)
    if null is None:
        raise FormatError(
            f"{what} has masked values and uses every value of {values.dtype.name!r}, so that none is left to mark "
            "them; convert it to a wider dtype."
        )
    return null


def _strings(values: NDArray[Any], mask: NDArray[np.bool_], serialization: str, what: str) -> _Stored:
    """Store strings as such of any length: those of fixed length astropy cuts beyond the basic plane.

    https://github.com/astropy/astropy/issues/18516
    """
    if values.ndim > 1:
        raise FormatError(f"{what} holds arrays of strings, which astropy cannot read from a VOTable; {_HINT}")
    cells = np.empty(len(values), object)
    try:
        cells[:] = [text.decode() if isinstance(text, bytes) else text for text in values.tolist()]
        cells[mask] = ""
        "".join(cells).encode("utf-16")
    except UnicodeError as error:
        raise FormatError(f"{what} holds a string that is not valid text: {error}; {_HINT}") from None
    _check_flags(mask, serialization, f"{what} has masked strings beside other strings")
    if serialization == "tabledata" and any(_UNSAFE.search(text) or text != text.strip() for text in cells):
        raise FormatError(
            f"{what} holds strings with control characters, or with blanks at an end, which astropy strips; "
            "use the recipe 'binary2'."
        )
    datatype = "char" if "".join(cells).isascii() else "unicodeChar"
    return _Stored(datatype, "*", cells, mask, {"dtype": dtype_name(values.dtype)})


def _arrays(values: NDArray[Any], mask: NDArray[np.bool_], what: str) -> _Stored:
    """Store arrays whose first dimension varies."""
    for value in values.flat:
        if not (isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.ndim):
            raise FormatError(
                f"{what} has dtype object and holds {value!r} ({type(value).__name__}); a VOTable can hold strings, "
                f"or arrays of numbers of one dtype; {_HINT}"
            )
    kinds = sorted({(dtype_name(array.dtype), array.shape[1:]) for array in values.flat})
    missing = mask.any() or any(np.ma.getmaskarray(array).any() for array in values.flat)
    if len(kinds) > 1 or 0 in kinds[0][1] or values.ndim > 1 or missing:
        raise FormatError(
            f"{what} holds arrays of {kinds} (dtype, inner shape), {'some' if missing else 'none'} masked; "
            f"expected one array a row, of one dtype and one inner shape with elements, none masked; {_HINT}"
        )
    ((original, inner),) = kinds
    cells = np.empty(len(values), object)
    for row, array in enumerate(values):
        held = _held(np.asarray(array), np.zeros(array.shape, bool), what)
        # astropy wants a mask and native numbers.
        cells[row] = np.ma.MaskedArray(held.astype(held.dtype.newbyteorder("=")), np.zeros(held.shape, bool))
    record = {} if dtype_name(cells[0].dtype) == original else {"dtype": original}
    arraysize = "x".join([*(str(size) for size in reversed(inner)), "*"])
    return _Stored(DATATYPES[cells[0].dtype.name], arraysize, cells, mask, record)


# Meta.


def _add_meta(element: TableElement, meta: Mapping[Any, Any], votable: VOTableFile) -> dict[str, Any]:
    """Write a table's meta and return those that VOTable cannot say."""
    rest: dict[str, Any] = {}
    for key, value in meta.items():
        what = f"The meta key {key!r}"
        if not isinstance(key, str):
            raise FormatError(f"{what} cannot be the name of a VOTable PARAM; expected a string.")
        if key in {"name", "ucd", "utype"} and _is_attribute(value):
            setattr(element, key, value)
        elif key != "description" and _is_attribute(key) and (param := _param(key, value, what, votable)) is not None:
            element.params.append(param)
        else:
            rest[key] = _json_ready(value, what)
    element.description = _one_line(meta.get("description"))
    return rest


def _param(key: str, value: Any, what: str, votable: VOTableFile) -> Param | None:
    """Return a ``PARAM``, or `None` if VOTable cannot say this value or astropy not write it."""
    unit = value.unit if isinstance(value, u.Quantity) else None
    _check_unit(unit, what)
    plain = value if unit is None else value.value
    plain = plain.item() if isinstance(plain, np.generic) else plain
    is_text = isinstance(plain, str)
    lossy = _UNSAFE_PARAM.search(plain) if is_text else type(plain) is int and plain.bit_length() > 63
    datatype = _PARAMS.get(type(plain))
    if lossy or datatype is None:
        return None
    kwargs = {"name": key, "value": plain, "datatype": datatype, "arraysize": "*" if is_text else None, "unit": unit}
    param = Param(votable, config=votable.config, **kwargs)
    param.ID = None  # which astropy makes up, and others may have
    return param


def _json_ready(value: Any, what: str) -> Any:
    """Return ``value`` as JSON can keep it, numpy scalars being turned into Python's."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_json_ready(item, f"{what}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _json_ready(item, f"{what}[{key!r}]") for key, item in value.items()}
    raise FormatError(
        f"{what} is {value!r} ({type(value).__name__}), which a VOTable cannot keep; expected strings, numbers, "
        "bools, None, and lists or string-keyed dicts of them. Convert or remove it, or store the table as HDF5Table."
    )

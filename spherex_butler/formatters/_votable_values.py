"""Which datatype and arraysize of VOTable hold the values of a column, and what of them it cannot hold."""

from __future__ import annotations

__all__ = ("Stored", "stored_values")

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import FormatError
from ._tables import dtype_name
from ._votable_elements import NUMBERS, Array, Mask
from ._votable_xml import is_xml_text

_DATATYPES = {"bool": "boolean", **{dtype.name: name for name, dtype in NUMBERS.items()}}
_WIDER = {"int8": "int16", "uint16": "int32", "uint32": "int64", "uint64": "int64", "float16": "float32"}
_HINT = "convert it, or store the table as HDF5Table."


@dataclass(frozen=True, slots=True)
class Stored:
    """Values in a dtype that VOTable has.

    Parameters
    ----------
    datatype, arraysize
        Of the ``FIELD``.
    values, mask
        One row a cell; the mask of arrays of variable length tells of cells.
    original
        What the values, or the elements of arrays of variable length, were in numpy.
    null
        The value that marks a missing element, if one is needed.
    options
        ``nan``, ``blank`` and ``inner`` of the column's record.
    """

    datatype: str
    arraysize: str | None
    values: Array
    mask: Mask
    original: str
    null: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


def stored_values(values: Array, mask: Mask, serialization: str, what: str) -> Stored:
    """Return the values as a VOTable can hold them.

    Parameters
    ----------
    values, mask
        Of the column.
    serialization
        ``"binary2"``, ``"binary"`` or ``"tabledata"``.
    what
        Which column it is, for errors.

    Raises
    ------
    FormatError
        Raised if a VOTable, or this serialization, cannot hold them.
    """
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind in "US":
        return _strings(values, mask, serialization, what)
    if values.dtype.kind == "O":
        return _objects(values, mask, serialization, what)
    original = dtype_name(values.dtype)
    arraysize = "x".join(str(size) for size in reversed(values.shape[1:])) or None
    held = _numbers(values, mask, what)
    marked = bool(mask.any()) if serialization == "binary" else _is_partial(mask)
    null, options = _markers(held, mask, marked=marked, what=what)
    return Stored(_DATATYPES[held.dtype.name], arraysize, held, mask, original, null, options)


def _is_partial(mask: Mask) -> bool:
    """Whether some cell is masked in part."""
    if mask.size == 0:
        return False
    rows = mask.reshape(len(mask), -1)
    return bool((rows.any(axis=1) & ~rows.all(axis=1)).any())


def _numbers(values: Array, mask: Mask, what: str) -> Array:
    """Return numbers or bools in a dtype that VOTable has."""
    name = values.dtype.name
    wider = _WIDER.get(name, name)
    if wider not in _DATATYPES:
        raise FormatError(f"{what} has dtype {name!r}, which a VOTable cannot hold; {_HINT}")
    if name == "uint64":
        values = np.where(mask, np.uint64(0), values)
        if values.size and values.max() > np.iinfo(np.int64).max:
            raise FormatError(
                f"{what} has dtype 'uint64' and the value {values.max()}; the widest integer of a VOTable is int64, "
                f"up to {np.iinfo(np.int64).max}; {_HINT}"
            )
    return values.astype(wider, copy=False)


def _markers(values: Array, mask: Mask, *, marked: bool, what: str) -> tuple[int | None, dict[str, Any]]:
    """Return what marks missing elements by value, and whether NaN does not.

    ``marked`` says that some must be: those within a cell that is not
    missing as a whole, or any where the serialization knows no missing cells.
    """
    if values.dtype.kind in "fc":
        has_nan = bool(np.isnan(values[~mask]).any())
        if has_nan and marked:
            raise FormatError(
                f"{what} has masked values that a VOTable can only mark by NaN, and NaN as well; "
                "fill one of them, or store the table as HDF5Table."
            )
        return None, {"nan": "value"} if has_nan else {}
    if marked and values.dtype.kind in "iu":
        return _unused(values[~mask], what), {}
    return None, {}


def _unused(values: Array, what: str) -> int:
    limits = np.iinfo(values.dtype)
    taken = {int(value) for value in (values.min(), values.max())} if values.size else set()
    for candidate in (int(limits.min), int(limits.max)):
        if candidate not in taken:
            return candidate
    present = np.unique(values)
    gaps = np.flatnonzero(np.diff(present.astype(object)) > 1)
    if gaps.size == 0:
        raise FormatError(
            f"{what} has masked values and uses every value of {values.dtype}, so that none is left to mark them; "
            "convert it to a wider dtype."
        )
    return int(present[gaps[0]]) + 1


def _strings(values: Array, mask: Mask, serialization: str, what: str) -> Stored:
    original = dtype_name(values.dtype)
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{what} holds bytes that are no text: {error}; {_HINT}") from None
    values = np.where(mask, "", values) if mask.any() else values
    codes = _code_points(values)
    _check_characters(codes, what)
    if _is_partial(mask):
        raise FormatError(f"{what} masks some strings of an array; a VOTable can only mask all of a row; {_HINT}")
    options = _string_options(values, mask, serialization, what)
    datatype = "unicodeChar" if codes.size and codes.max() > 0x7F else "char"
    length = max(values.dtype.itemsize // 4, 1)
    if codes.size and codes.max() > 0xFFFF:
        length = max(length, *(len(text.encode("utf-16-be")) // 2 for text in values.reshape(-1).tolist()))
    arraysize = "x".join(str(size) for size in (length, *reversed(values.shape[1:])))
    return Stored(datatype, arraysize, values, mask, original, options=options)


def _code_points(values: Array) -> Array:
    """Return the characters of each string, as many as the dtype has."""
    width = values.dtype.itemsize // 4
    flat = np.ascontiguousarray(values.reshape(-1))
    return flat.view(np.uint32).reshape(len(flat), width) if width else np.zeros((len(flat), 0), np.uint32)


def _check_characters(codes: Array, what: str) -> None:
    if ((codes & 0xFFFFF800) == 0xD800).any():
        raise FormatError(f"{what} holds a string with half a surrogate pair, which is no character; {_HINT}")
    if codes.size and (np.maximum.accumulate(codes == 0, axis=1) & (codes != 0)).any():
        raise FormatError(f"{what} holds a string with NUL in it, which ends a string in a VOTable; {_HINT}")


def _string_options(values: Array, mask: Mask, serialization: str, what: str) -> dict[str, Any]:
    """Check what only some serializations can hold."""
    if serialization == "binary" and mask.any():
        raise FormatError(f"{what} holds masked strings, which 'binary' cannot mark; use the recipe 'binary2'.")
    if serialization != "tabledata":
        return {}
    texts = values.reshape(-1).tolist()
    if not is_xml_text("".join(texts).replace("\r", "")):
        raise FormatError(f"{what} holds characters that XML cannot hold; use the recipe 'binary2'.")
    if values.ndim > 1 and any(text.endswith(" ") for text in texts):
        raise FormatError(f"{what} holds arrays of strings that end in blanks, which pad them; use 'binary2'.")
    if mask.any() and "" in values[~mask]:
        raise FormatError(
            f"{what} holds masked strings and empty ones, which 'tabledata' cannot tell apart; "
            "use the recipe 'binary2'."
        )
    return {"blank": "null"} if mask.any() else {}


def _objects(values: Array, mask: Mask, serialization: str, what: str) -> Stored:
    if values.ndim > 1:
        raise FormatError(f"{what} holds objects in {values.ndim} dimensions; expected one. Split it.")
    present = values[~mask].tolist()
    if all(isinstance(value, str) for value in present):
        texts = np.empty(len(values), object)
        texts[:] = [value if isinstance(value, str) else "" for value in values.tolist()]
        return _objects_of_strings(texts, mask, serialization, what)
    if all(isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.ndim for value in present):
        return _arrays(values, mask, present, what)
    odd = next(value for value in present if not isinstance(value, str))
    raise FormatError(
        f"{what} has dtype object and holds {odd!r} ({type(odd).__name__}); a VOTable can hold strings, or arrays "
        f"of numbers of one dtype; {_HINT}"
    )


def _objects_of_strings(texts: Array, mask: Mask, serialization: str, what: str) -> Stored:
    # The end of a joined string must not look like its padding.
    _check_characters(_code_points(np.array(["".join(texts) + "."])), what)
    options = _string_options(texts, mask, serialization, what)
    datatype = "char" if all(text.isascii() for text in texts) else "unicodeChar"
    return Stored(datatype, "*", texts, mask, "object", options=options)


def _arrays(values: Array, mask: Mask, present: list[Any], what: str) -> Stored:
    kinds = {(dtype_name(array.dtype), array.shape[1:]) for array in present}
    if len(kinds) > 1:
        raise FormatError(f"{what} holds arrays that differ in dtype or inner shape: {sorted(kinds)}; {_HINT}")
    ((original, inner),) = kinds
    if 0 in inner:
        raise FormatError(f"{what} holds arrays of arrays without elements, of shape {inner}; {_HINT}")
    flat = np.concatenate([np.ma.getdata(array).reshape(-1) for array in present])
    missing = np.concatenate([np.ma.getmaskarray(array).reshape(-1) for array in present])
    held = _numbers(flat.astype(flat.dtype.newbyteorder("=")), missing, what)
    null, options = _markers(held, missing, marked=bool(missing.any()), what=what)
    if inner:
        options["inner"] = list(inner)
    return Stored(_DATATYPES[held.dtype.name], "*", values, mask, original, null, options)

"""Rows of a VOTable's BINARY and BINARY2 streams, decoded as the base64 text comes (IVOA VOTable 1.4, section 6)."""

from __future__ import annotations

__all__ = ("BinaryRows",)

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import FormatError
from .damage import Damaged

_ITEMS: Mapping[str, tuple[int, str]] = {
    "boolean": (1, "c"),
    "unsignedByte": (1, "B"),
    "short": (2, "h"),
    "int": (4, "i"),
    "long": (8, "q"),
    "char": (1, ""),
    "unicodeChar": (2, ""),
    "float": (4, "f"),
    "double": (8, "d"),
    "floatComplex": (8, "2f"),
    "doubleComplex": (16, "2d"),
}
"""By datatype, the size of an item, and how `struct` reads it."""

_LENGTH = struct.Struct(">i")
_BLANKS = str.maketrans("", "", " \t\r\n")


class BinaryRows:
    """Decodes the stream of one table.

    Parameters
    ----------
    fields
        The attributes of its FIELD elements.
    positions
        Indices of the columns whose values are wanted.
    null_flags
        Whether each row begins with flags of what is missing, as in BINARY2.

    Raises
    ------
    FormatError
        Raised if a column has a type that cannot be skipped or read.
    """

    def __init__(self, fields: Sequence[Mapping[str, str]], positions: Sequence[int], *, null_flags: bool) -> None:
        self._flag_bytes = (len(fields) + 7) // 8 if null_flags else 0
        self._steps = [
            (*_shape(field), _converter(field) if i in positions else None) for i, field in enumerate(fields)
        ]
        self._positions = tuple(positions)
        self._text = ""
        self._data = b""
        self._damaged = False

    @property
    def left(self) -> int:
        """Bytes that came after the last whole row."""
        return len(self._data)

    def feed(self, text: str) -> Iterator[tuple[Any, ...] | Damaged]:
        """Yield the rows that this piece of the stream completes, none after it was found damaged."""
        if self._damaged:
            return
        text = self._text + text.translate(_BLANKS)
        whole = len(text) // 4 * 4
        self._text = text[whole:]
        try:
            self._data += base64.b64decode(text[:whole], validate=True)
        except binascii.Error as error:
            self._damaged = True
            yield Damaged(f"The binary stream is damaged ({error}), so rows are missing; expected base64.")
            return
        offset = 0
        while row := self._row(offset):
            values, offset = row
            yield values
        self._data = self._data[offset:]

    def _row(self, start: int) -> tuple[tuple[Any, ...], int] | None:
        """Return the row at an offset and where it ends, `None` if that is not in the data yet."""
        data, size, offset = self._data, len(self._data), start + self._flag_bytes
        values: dict[int, Any] = {}
        for number, (length, item, convert) in enumerate(self._steps):
            count = length
            if count is None:
                if offset + 4 > size:
                    return None
                (count,) = _LENGTH.unpack_from(data, offset)
                offset += 4
            end = offset + count * item
            if end > size or count < 0:
                return None
            if convert:
                missing = self._flag_bytes and data[start + number // 8] & (0x80 >> number % 8)
                values[number] = None if missing else convert(data[offset:end])
            offset = end
        return tuple(values[position] for position in self._positions), offset


def _shape(field: Mapping[str, str]) -> tuple[int | None, int]:
    """Return how many items a cell has, `None` if it says so itself, and their size."""
    datatype, arraysize = field.get("datatype", ""), field.get("arraysize", "1")
    sizes = arraysize.split("x")
    inner = [int(size) for size in sizes[:-1] if size.isdigit()]
    variable = sizes[-1].endswith("*")
    if datatype == "bit" and not variable and len(inner) == len(sizes) - 1:
        return 1, (math.prod([*inner, int(sizes[-1])]) + 7) // 8
    if datatype not in _ITEMS or not re.fullmatch(r"([1-9]\d*x)*([1-9]\d*|\d*\*)", arraysize) or (variable and inner):
        raise FormatError(
            f"The column {field.get('name')!r} has datatype={datatype!r} and arraysize={arraysize!r}, which is not "
            "read from a binary stream; ask the service for TABLEDATA, or leave the column out."
        )
    item = _ITEMS[datatype][0]
    return (None, item) if variable else (math.prod([*inner, int(sizes[-1])]), item)


def _converter(field: Mapping[str, str]) -> Callable[[bytes], Any]:
    datatype = field.get("datatype", "")
    if datatype in {"char", "unicodeChar"}:
        encoding, zero = ("utf-8", "\0") if datatype == "char" else ("utf-16-be", "\0")
        return lambda data: data.decode(encoding, "replace").partition(zero)[0]
    if datatype == "bit":
        return lambda data: data
    size, code = _ITEMS[datatype]
    if field.get("arraysize", "1") == "1":
        single = struct.Struct(f">{code}")
        return lambda data: single.unpack(data)[0]
    return lambda data: list(struct.unpack(f">{len(data) // size * int(code[:-1] or 1)}{code[-1]}", data))

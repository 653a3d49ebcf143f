"""One cell of a VOTable: its datatype and arraysize, and how it stands in each serialization.

An arraysize lists the fastest dimension first, so it is a numpy shape
reversed; of strings the first number is their length.  astropy 8 writes the
shape unreversed and reads it reversed, so its own round trip turns (2, 3)
into (3, 2); what is written here, astropy reads in the right shape.

A cell of variable size is preceded in a binary stream by the number of its
elements.
"""

from __future__ import annotations

__all__ = ("Cells", "FixedCells", "StringCells", "VariableCells", "cells_of")

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, TypeAlias, cast
from xml.etree.ElementTree import Element

import numpy as np

from ..errors import FormatError
from ._votable_elements import (
    NUMBERS,
    Array,
    Bits,
    Booleans,
    Elements,
    Mask,
    Numbers,
    Strings,
    WrittenElements,
    decode_text,
)

_ARRAYSIZE = re.compile(r"(?:\d+x)*(?:\d+\*?|\*)")
_SEPARATOR = re.compile(r"\s*,\s*|\s+")
_ALIASES = {
    "string": "char",
    "unicodeString": "unicodeChar",
    "unsignedShort": "int",
    "unsignedInt": "long",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "float32": "float",
    "float64": "double",
}
"""Datatypes that archives write but no standard has, as astropy.io.votable understands them."""

_PADDING_LIMIT = 64 << 20  # bytes of padding in one column of strings before they are kept as objects


@dataclass(frozen=True, slots=True)
class FixedCells:
    """Cells of one element, or of an array whose shape is the same in each row.

    Values are an array with one row a cell; the mask has the same shape.  In
    a binary stream cells are an array of `stored`.
    """

    elements: Elements
    shape: tuple[int, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """What an element of the column is in numpy."""
        return self.elements.dtype

    @property
    def stored(self) -> np.dtype[Any]:
        """What a cell is in a binary stream."""
        if isinstance(self.elements, Bits):
            return np.dtype(("u1", (-(-prod(self.shape) // 8),)))
        element = self.elements.stored
        return np.dtype((element.base, (*self.shape, *element.shape)))

    def decode(self, stored: Array) -> tuple[Array, Mask]:
        if isinstance(self.elements, Bits):
            bits = np.unpackbits(stored, axis=1, count=prod(self.shape)) if self.shape else stored[:, 0]
            stored = bits.reshape(len(stored), *self.shape)
        return self.elements.decode(stored)

    def encode(self, values: Array, mask: Mask) -> Array:
        return _written(self.elements).encode(values, mask)

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        if not self.shape:
            return self._parse_scalars(texts)
        count = prod(self.shape)
        words = [_words(text, self.elements) for text in texts]
        if isinstance(self.elements, Strings):  # blanks at the end may have been cut off
            words = [found + [""] * (count - len(found)) for found in words]
        empty = np.array([not found for found in words], bool)
        for text, found in zip(texts, words, strict=True):
            if found and len(found) != count * max(self.elements.tokens, 1):
                raise FormatError(f"{text!r} has {len(found)} values; expected {count}.")
        blank = [""] * (count * max(self.elements.tokens, 1))
        values, mask = self.elements.parse([word for found in words for word in found or blank])
        shape = (len(texts), *self.shape)
        return values.reshape(shape), mask.reshape(shape) | _spread(empty & (count > 0), shape)

    def _parse_scalars(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        if self.elements.tokens < 2:
            return self.elements.parse(texts)
        words = [_words(text, self.elements) or [""] * self.elements.tokens for text in texts]
        for text, found in zip(texts, words, strict=True):
            if len(found) != self.elements.tokens:
                raise FormatError(f"{text!r} has {len(found)} values; expected {self.elements.tokens}.")
        return self.elements.parse([word for found in words for word in found])

    def format(self, values: Array, mask: Mask) -> list[str]:
        count = prod(self.shape)
        words = _written(self.elements).format(values.reshape(-1), mask.reshape(-1))
        separator = " "
        if isinstance(self.elements, Strings) and self.shape:
            words, separator = [word.ljust(self.elements.length) for word in words], ""
        rows = [separator.join(words[row * count : (row + 1) * count]) for row in range(len(values))]
        # An empty cell is a missing one; only an element that marks itself can tell more.
        wholly = np.asarray(mask.reshape(len(values), count).all(axis=1) & (count > 0))
        return ["" if missing else row for row, missing in zip(rows, wholly.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class VariableCells:
    """Cells that hold arrays, whose first dimension differs from row to row.

    A cell is an array, or a masked one if some of its elements are missing;
    the mask tells of whole cells.  In a binary stream each is bytes.
    """

    elements: Elements
    inner: tuple[int, ...] = ()
    dtype: ClassVar[np.dtype[Any]] = np.dtype(object)
    shape: ClassVar[tuple[int, ...]] = ()

    def size(self, count: int) -> int:
        """Return how many bytes follow a ``count``."""
        return -(-count // 8) if isinstance(self.elements, Bits) else count * self._unit

    @property
    def _unit(self) -> int:
        """Bytes of what is counted: elements, but of strings their characters."""
        return self.elements.stored.base.itemsize

    def decode(self, stored: Sequence[bytes]) -> tuple[Array, Mask]:
        if isinstance(self.elements, Bits):
            raise FormatError("Arrays of bits of variable length cannot be read from a binary stream.")
        itemsize = self.elements.stored.itemsize
        counts = [len(cell) // itemsize if itemsize else 0 for cell in stored]
        joined = b"".join(cell[: count * itemsize] for cell, count in zip(stored, counts, strict=True))
        flat = np.frombuffer(joined, self.elements.stored.base).reshape(-1, *self.elements.stored.shape)
        return self._split(*self.elements.decode(flat), counts)

    def encode(self, values: Array, mask: Mask) -> list[bytes]:
        cells = []
        for value, missing in zip(values, mask, strict=True):
            array = np.ma.asanyarray([] if missing else value).astype(self.elements.dtype)
            stored = _written(self.elements).encode(np.asarray(array), np.ma.getmaskarray(array)).tobytes()
            cells.append(struct.pack(">I", len(stored) // self._unit) + stored)
        return cells

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        words = [_words(text, self.elements) for text in texts]
        counts = [len(found) // max(self.elements.tokens, 1) for found in words]
        return self._split(*self.elements.parse([word for found in words for word in found]), counts)

    def format(self, values: Array, mask: Mask) -> list[str]:
        rows = []
        for value, missing in zip(values, mask, strict=True):
            array = np.ma.asanyarray([] if missing else value).astype(self.elements.dtype).reshape(-1)
            rows.append(" ".join(_written(self.elements).format(np.asarray(array), np.ma.getmaskarray(array))))
        return rows

    def _split(self, flat: Array, missing: Mask, counts: Sequence[int]) -> tuple[Array, Mask]:
        values = np.empty(len(counts), object)
        start = 0
        for row, count in enumerate(counts):
            if count % prod(self.inner):
                raise FormatError(f"A cell has {count} values; expected a multiple of {prod(self.inner)}.")
            part = slice(start, start + count)
            cell = np.ma.MaskedArray(flat[part], missing[part]) if missing[part].any() else flat[part]
            values[row] = cell.reshape(-1, *self.inner) if self.inner else cell.copy()
            start += count
        return values, np.zeros(len(counts), bool)


@dataclass(frozen=True, slots=True)
class StringCells:
    """Cells that hold one string of any length."""

    datatype: str
    blank_is_null: bool = False
    dtype: ClassVar[np.dtype[Any]] = np.dtype(object)
    shape: ClassVar[tuple[int, ...]] = ()

    def size(self, count: int) -> int:
        """Return how many bytes follow a ``count``."""
        return count * (2 if self.datatype == "unicodeChar" else 1)

    def decode(self, stored: Sequence[bytes]) -> tuple[Array, Mask]:
        return self.parse([decode_text(cell, self.datatype) for cell in stored])

    def encode(self, values: Array, mask: Mask) -> list[bytes]:
        encoding, unit = ("utf-16-be", 2) if self.datatype == "unicodeChar" else ("ascii", 1)
        cells = [b"" if missing else value.encode(encoding) for value, missing in zip(values, mask, strict=True)]
        return [struct.pack(">I", len(cell) // unit) + cell for cell in cells]

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        values = np.empty(len(texts), object)
        values[:] = texts
        return values, (values == "").astype(bool) & self.blank_is_null

    def format(self, values: Array, mask: Mask) -> list[str]:
        return ["" if missing else str(value) for value, missing in zip(values, mask, strict=True)]

    @staticmethod
    def packed(values: Array) -> Array:
        """Return strings as a numpy string array, unless one long one would pad the others beyond measure."""
        lengths = [len(text) for text in values]
        padding = 4 * (max(lengths, default=0) * len(lengths) - sum(lengths))
        return values if padding > _PADDING_LIMIT else np.array(values, dtype=str)


Cells: TypeAlias = FixedCells | VariableCells | StringCells
"""How the cells of one column are stored."""


def cells_of(field: Element, **options: Any) -> Cells:
    """Return how the cells of a ``FIELD`` (or the value of a ``PARAM``) are stored.

    Parameters
    ----------
    field
        The element.
    **options
        ``nan_is_null`` for `Numbers`, ``blank_is_null`` for strings.

    Raises
    ------
    FormatError
        Raised if the datatype or the arraysize is none of VOTable's.
    """
    given = field.get("datatype", "char")
    datatype = _ALIASES.get(given, given)
    strings = datatype in {"char", "unicodeChar"}
    sizes, variable = _parsed_arraysize(field, default="1" if strings else "")
    if strings and len(sizes) == 0:
        return StringCells(datatype, blank_is_null=options.get("blank_is_null", False))
    elements: Elements
    if strings:
        elements = Strings(datatype, sizes.pop(0), blank_is_null=options.get("blank_is_null", False))
    elif datatype in NUMBERS:
        elements = _numbers(field, datatype, nan_is_null=options.get("nan_is_null", True))
    elif datatype in {"boolean", "bit"}:
        elements = Booleans() if datatype == "boolean" else Bits()
    else:
        known = [*NUMBERS, "boolean", "bit", "char", "unicodeChar"]
        raise FormatError(f"Datatype {given!r} is not VOTable's; expected one of {known}.")
    shape = tuple(reversed(sizes))
    return VariableCells(elements, shape) if variable else FixedCells(elements, shape)


def _numbers(field: Element, datatype: str, *, nan_is_null: bool) -> Numbers:
    dtype = NUMBERS[datatype]
    values = field.find("VALUES")
    null = None if values is None else values.get("null")
    try:
        marker = None if not null else dtype.type(int(null, 16 if "x" in null else 10) if dtype.kind in "iu" else null)
    except (ValueError, OverflowError):
        marker = None  # such as null="" or "null": no value equals it
    return Numbers(dtype, marker, nan_is_null=nan_is_null)


def _written(elements: Elements) -> WrittenElements:
    """Return elements as those that are written, which all are but bits: bools are written as ``boolean``."""
    return cast("WrittenElements", elements)


def _parsed_arraysize(field: Element, *, default: str) -> tuple[list[int], bool]:
    """Return the fixed sizes, fastest first, and whether one more varies."""
    arraysize = field.get("arraysize", default).strip()
    if arraysize == "":
        return [], False
    if not _ARRAYSIZE.fullmatch(arraysize):
        raise FormatError(f"arraysize={arraysize!r} is not VOTable's; expected such as '3', '2x3' or '*'.")
    *sizes, last = arraysize.split("x")
    variable = last.endswith("*")
    numbers = [int(size) for size in (sizes if variable else [*sizes, last])]
    if prod(number for number in numbers if number) > 1 << 27:
        raise FormatError(f"arraysize={arraysize!r} is beyond measure; expected at most {1 << 27} elements a cell.")
    return numbers, variable


def _words(text: str, elements: Elements) -> list[str]:
    if isinstance(elements, Strings):
        length = max(elements.length, 1)
        return [text[start : start + length].rstrip(" ") for start in range(0, len(text), length)]
    if isinstance(elements, Bits):
        return [digit for digit in text if not digit.isspace() and digit != ","]
    stripped = text.strip()
    return _SEPARATOR.split(stripped) if stripped else []


def _spread(rows: Mask, shape: tuple[int, ...]) -> Mask:
    """Return a mask of whole cells as one of their elements."""
    return np.broadcast_to(rows.reshape(-1, *(1,) * (len(shape) - 1)), shape)

"""One element of a VOTable cell, in each datatype: numpy values to and from bytes and text.

Binary streams are big-endian.  What marks a missing element *within* a cell
is a ``null`` value for integers, NaN for floats, ``?`` for booleans; strings
have nothing of the kind.

``char`` is written for ASCII only, as VOTable 1.4 has it, and read as UTF-8,
as services write it and VOTable 1.6 allows, else as Latin-1
(https://github.com/astropy/astropy/pull/17119).  ``unicodeChar`` is UTF-16.
"""

from __future__ import annotations

__all__ = ("NUMBERS", "Bits", "Booleans", "Elements", "Numbers", "Strings", "WrittenElements", "decode_text")

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]

_log = logging.getLogger(__name__)

NUMBERS: dict[str, np.dtype[Any]] = {
    "unsignedByte": np.dtype("u1"),
    "short": np.dtype("i2"),
    "int": np.dtype("i4"),
    "long": np.dtype("i8"),
    "float": np.dtype("f4"),
    "double": np.dtype("f8"),
    "floatComplex": np.dtype("c8"),
    "doubleComplex": np.dtype("c16"),
}
"""The numeric datatypes and what they are in numpy."""


class Elements(Protocol):
    """How elements of one datatype are stored."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What an element is in numpy."""

    @property
    def stored(self) -> np.dtype[Any]:
        """What an element is in a binary stream."""

    @property
    def tokens(self) -> int:
        """How many words an element takes in text; 0 if words do not separate elements."""

    def decode(self, stored: Array) -> tuple[Array, Mask]:
        """Return values and mask of elements from a binary stream."""

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        """Return values and mask of elements from their words."""


class WrittenElements(Elements, Protocol):
    """How elements of a datatype that is written, too, are stored."""

    def encode(self, values: Array, mask: Mask) -> Array:
        """Return elements as they stand in a binary stream."""

    def format(self, values: Array, mask: Mask) -> list[str]:
        """Return the words of a one-dimensional array of elements."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Integers, floats and complex numbers.

    Parameters
    ----------
    dtype
        One of `NUMBERS`.
    null
        The value that marks a missing element, if any.
    nan_is_null
        Whether NaN marks a missing element, as VOTable has it.
    """

    dtype: np.dtype[Any]
    null: Any = None
    nan_is_null: bool = True

    @property
    def stored(self) -> np.dtype[Any]:
        return self.dtype.newbyteorder(">")

    @property
    def tokens(self) -> int:
        return 2 if self.dtype.kind == "c" else 1

    def decode(self, stored: Array) -> tuple[Array, Mask]:
        return self._blanked(stored.astype(self.dtype))

    def encode(self, values: Array, mask: Mask) -> Array:
        blank = np.nan if self.dtype.kind in "fc" else self.null or 0
        return np.where(mask, np.array(blank, self.dtype), values).astype(self.stored)

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        scalar = int if self.dtype.kind in "iu" else float
        try:
            numbers: list[Any] = [scalar(text) for text in texts]
        except ValueError:
            numbers = [_lenient(scalar, text) for text in texts]
        missing: Mask = np.array([number is None for number in numbers], bool)
        filled = [0 if number is None else number for number in numbers]
        if self.dtype.kind == "c":
            parts = np.array(filled, np.float64).reshape(-1, 2)
            values = (parts[:, 0] + 1j * parts[:, 1]).astype(self.dtype)
            values.real, values.imag = parts.T  # arithmetic makes inf + nan j of inf + 0 j
            missing = np.asarray(missing.reshape(-1, 2).any(axis=1))
        else:
            values = np.array(self._in_range(filled), self.dtype)
        values, marked = self._blanked(values)
        return values, missing | marked

    def format(self, values: Array, mask: Mask) -> list[str]:
        if self.dtype.kind == "c":
            parts = (_float_words(values.real), _float_words(values.imag))
            words = [f"{real} {imag}" for real, imag in zip(*parts, strict=True)]
        elif self.dtype.kind == "f":
            words = _float_words(values)
        else:
            words = [str(value) for value in values.tolist()]
        blank = str(self.null) if self.dtype.kind in "iu" else " ".join(["NaN"] * self.tokens)
        return [blank if missing else word for word, missing in zip(words, mask.tolist(), strict=True)]

    def _blanked(self, values: Array) -> tuple[Array, Mask]:
        """Return the values, 0 instead of the integer that marks a missing one, and which are missing."""
        missing = np.zeros(values.shape, bool)
        if self.null is not None:
            missing |= values == self.null
            values[missing] = 0
        if self.nan_is_null and self.dtype.kind in "fc":
            missing |= np.isnan(values)
        return values, missing

    def _in_range(self, numbers: list[Any]) -> list[Any]:
        if self.dtype.kind in "iu" and numbers:
            limits = np.iinfo(self.dtype)
            for number in (min(numbers), max(numbers)):
                if not limits.min <= number <= limits.max:
                    raise FormatError(f"{number} is not within {limits.min} to {limits.max} of its datatype.")
        return numbers


_NOTHING = {"", "null", "nan", "none", "-", "--"}  # IRSA writes "null" and "-"


def _lenient(scalar: Callable[[str], Any], text: str) -> Any:
    """Return the number, or `None` for the ways archives spell a missing one."""
    word = text.strip().lower()
    if word in _NOTHING:
        return None
    try:
        return int(word, 16) if word.startswith("0x") else scalar(word)
    except ValueError:
        raise FormatError(f"{text!r} is no number; expected one, or nothing.") from None


def _float_words(values: Array) -> list[str]:
    special = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
    words = map(repr, values.tolist()) if values.dtype.itemsize == 8 else values.astype(str).tolist()
    return [special.get(word, word) for word in words]


_TRUE, _FALSE, _MISSING = b"Tt1", b"Ff0", b"?\0 "


@dataclass(frozen=True, slots=True)
class Booleans:
    """The datatype ``boolean``: one character each, ``T``, ``F`` or ``?``."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(bool)
    stored: ClassVar[np.dtype[Any]] = np.dtype("u1")
    tokens: ClassVar[int] = 1

    def decode(self, stored: Array) -> tuple[Array, Mask]:
        values, mask = np.asarray(np.isin(stored, list(_TRUE))), np.asarray(np.isin(stored, list(_MISSING)))
        known = values | mask | np.isin(stored, list(_FALSE))
        if not known.all():
            raise FormatError(f"Byte {stored[~known][0]:#04x} is no boolean; expected T, F or ?.")
        return values, mask

    def encode(self, values: Array, mask: Mask) -> Array:
        return np.where(mask, ord("?"), np.where(values, ord("T"), ord("F"))).astype("u1")

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        words = {"true": b"T", "false": b"F", "": b"?", "null": b"?"}
        stored = [words.get(text.strip().lower(), text.strip().encode()) for text in texts]
        for text, byte in zip(texts, stored, strict=True):
            if len(byte) != 1:
                raise FormatError(f"{text!r} is no boolean; expected T, F or ?.")
        return self.decode(np.frombuffer(b"".join(stored), "u1"))

    def format(self, values: Array, mask: Mask) -> list[str]:
        return list(self.encode(values, mask).tobytes().decode())


@dataclass(frozen=True, slots=True)
class Bits:
    """The datatype ``bit``, which is read but never written: eight elements to a byte."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(bool)
    stored: ClassVar[np.dtype[Any]] = np.dtype("u1")
    tokens: ClassVar[int] = 0

    def decode(self, stored: Array) -> tuple[Array, Mask]:
        # astropy writes a single bit as 0x08 where the standard has 0x80.
        return stored != 0, np.zeros(stored.shape, bool)

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        words = [text.strip() for text in texts]
        for word in words:
            if word not in {"0", "1", "", "?"}:
                raise FormatError(f"{word!r} is no bit; expected 0 or 1.")
        return np.array([word == "1" for word in words], bool), np.array(
            [word not in {"0", "1"} for word in words], bool
        )


@dataclass(frozen=True, slots=True)
class Strings:
    """``char`` and ``unicodeChar`` of fixed length, padded with NUL.

    Parameters
    ----------
    datatype
        ``"char"`` or ``"unicodeChar"``.
    length
        Bytes, or UTF-16 units, of each.
    blank_is_null
        Whether an empty string in text marks a missing one.
    """

    datatype: str
    length: int
    blank_is_null: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"U{max(self.length, 1)}")

    @property
    def stored(self) -> np.dtype[Any]:
        return np.dtype(("u1" if self.datatype == "char" else ">u2", (self.length,)))

    @property
    def tokens(self) -> int:
        return 0

    def decode(self, stored: Array) -> tuple[Array, Mask]:
        shape = stored.shape[:-1]
        if stored.size == 0:
            return np.zeros(shape, self.dtype), np.zeros(shape, bool)
        codes = np.where(np.maximum.accumulate(stored == 0, axis=-1), 0, stored)
        simple = codes < 0x80 if self.datatype == "char" else (codes & 0xF800) != 0xD800
        if simple.all():
            values = np.ascontiguousarray(codes, np.uint32).view(self.dtype)
        else:
            cells = codes.astype(self.stored.base).reshape(-1, self.length)
            texts = [decode_text(cell[cell != 0].tobytes(), self.datatype) for cell in cells]
            values = np.array(texts, self.dtype)
        return values.reshape(shape), np.zeros(shape, bool)

    def encode(self, values: Array, mask: Mask) -> Array:
        width = values.dtype.itemsize // 4
        codes = np.ascontiguousarray(values).view(np.uint32).reshape(*values.shape, width).copy()
        codes[mask] = 0
        if codes.size and codes.max() > 0xFFFF:
            units = [text.encode("utf-16-be").ljust(2 * self.length, b"\0") for text in values[~mask].tolist()]
            stored = np.zeros((*values.shape, self.length), ">u2")
            stored[~mask] = np.frombuffer(b"".join(units), ">u2").reshape(-1, self.length)
            return stored
        padding = [(0, 0)] * values.ndim + [(0, self.length - width)]
        return np.pad(codes, padding).astype(self.stored.base)

    def parse(self, texts: Sequence[str]) -> tuple[Array, Mask]:
        values = np.array(texts, dtype=str) if texts else np.zeros(0, self.dtype)
        return values, (values == "") & self.blank_is_null

    def format(self, values: Array, mask: Mask) -> list[str]:
        return ["" if missing else text for text, missing in zip(values.tolist(), mask.tolist(), strict=True)]


def decode_text(stored: bytes, datatype: str) -> str:
    """Return one string of a binary stream.

    Raises
    ------
    FormatError
        Raised if a ``unicodeChar`` string is no UTF-16.
    """
    if datatype == "unicodeChar":
        try:
            return stored.decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise FormatError(f"A unicodeChar string is no UTF-16: {error}.") from None
    try:
        return stored.decode()
    except UnicodeDecodeError:
        _log.debug("A char string is neither ASCII nor UTF-8; taking it as Latin-1: %r", stored)
        return stored.decode("latin-1")

"""The files in which archive tables come, row by row in bounded memory.

What a file is, its first bytes say: ``PAR1`` Parquet, ``# %ECSV`` ECSV, a
``VOTABLE`` element VOTable, and a line of two or more names parted by commas
CSV; each of the text formats may be compressed by gzip.
"""

from __future__ import annotations

__all__ = ("Damaged", "MemoryTable", "TableReader", "open_table")

import gzip
import importlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
from astropy.table import Table

from ..errors import ConfigurationError, FormatError
from .damage import Damaged
from .delimited import TextTable
from .votable import VOTableRows

_GZIP = b"\x1f\x8b"
_SNIFFED = 1 << 16
_STEP = 10_000
_CUT_OFF = (EOFError, gzip.BadGzipFile, zlib.error)


class TableReader(Protocol):
    """A table that can be read row by row."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""

    def rows(self, positions: Sequence[int]) -> Iterator[tuple[Any, ...] | Damaged]:
        """Yield of each row the values at these positions, `None` or blank where they are missing."""

    def count(self) -> int | None:
        """Return the number of rows, `None` where only reading would tell."""


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """A table in memory."""

    table: Table

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.table.colnames)

    def rows(self, positions: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Yield the values of rows as Python's own."""
        columns = [self.table.columns[position] for position in positions]
        for start in range(0, len(self.table), _STEP):
            yield from zip(*(_values(column[start : start + _STEP]) for column in columns), strict=True)

    def count(self) -> int:
        """Return the number of rows."""
        return len(self.table)


def _values(column: Any) -> list[Any]:
    """Return Python values: text is text, also where it was stored as bytes, and a quantity the number it has."""
    array = np.ma.asanyarray(getattr(column, "value", column))
    array = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
    return list(array.tolist())


def open_table(path: Path) -> TableReader:
    """Return a reader of a file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FormatError
        Raised if it is no table of a kind that is read.
    ConfigurationError
        Raised if what reads it is not installed.
    """
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP

    def opener() -> BinaryIO:
        return _unpacked(path) if packed else path.open("rb")

    try:
        with opener() as stream:
            start = stream.read(_SNIFFED)
    except _CUT_OFF as error:
        raise FormatError(f"{str(path)!r} is compressed, but damaged: {error}; expected a whole gzip file.") from error
    for recognised, make in _FORMATS.values():
        if recognised(start):
            return make(opener, path)
    raise FormatError(
        f"{str(path)!r} begins with {start[:60]!r}{_guess(start)}; expected a table as {', '.join(_FORMATS)}. Ask the "
        "service for one of these (FORMAT=votable or csv), or convert the table by astropy.table.Table."
    )


def _unpacked(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(path))


def _parquet(_: Callable[[], BinaryIO], path: Path) -> TableReader:
    try:
        module = importlib.import_module(".parquet", __package__)
    except ImportError as error:
        raise ConfigurationError(
            f"Reading {str(path)!r} needs pyarrow: pip install 'spherex-butler[archive]'."
        ) from error
    reader: TableReader = module.ParquetRows(path)
    return reader


_FORMATS: Mapping[str, tuple[Callable[[bytes], Any], Callable[[Callable[[], BinaryIO], Path], TableReader]]] = {
    "Parquet": (lambda start: start.startswith(b"PAR1"), _parquet),
    "ECSV": (lambda start: start.startswith(b"# %ECSV"), TextTable.of_ecsv),
    "VOTable": (re.compile(rb"\s*(\xef\xbb\xbf)?\s*<[^\0]*<?(\w+:)?VOTABLE\b").match, VOTableRows),
    "CSV": (re.compile(rb"(\xef\xbb\xbf)?[^\0-\x1f<{|\\][^\0-\x1f]*,[^\0-\x1f]*\r?(\n|$)").match, TextTable.of_csv),
}
"""By name, how the beginning of a file tells, and what reads it."""

_OTHERS: Mapping[bytes, str] = {
    b"SIMPLE  =": "a FITS file",
    b"\\": "an IPAC table",
    b"|": "an IPAC table",
    b"<": "an HTML or XML document that is no VOTable",
    b"{": "JSON",
}


def _guess(start: bytes) -> str:
    if not start:
        return " (it is empty)"
    found = next((name for first, name in _OTHERS.items() if start.lstrip().startswith(first)), None)
    return f" ({found})" if found else ""

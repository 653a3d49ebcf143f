"""Archive tables in files and in memory, read row by row.

The first bytes of a file say what it is: ``PAR1`` begins Parquet, ``# %ECSV``
ECSV, a ``VOTABLE`` element VOTable, and a line of two or more names separated
by commas CSV.  The text formats may be compressed by gzip.
"""

from __future__ import annotations

__all__ = ("MemoryTable", "Row", "TableReader", "open_table", "up_to_damage")

import gzip
import importlib
import io
import logging
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, cast

import numpy as np
from astropy.table import Table

from ..errors import ConfigurationError, FormatError, reason_of
from ..files.failures import FailingAlone
from ..formats.regular import require_regular
from ..formats.unzipped import BoundedReader
from .delimited import TextTable
from .votable import VOTableRows

_log = logging.getLogger(__name__)

_GZIP = b"\x1f\x8b"
_SNIFFED = 1 << 16
_STEP = 10_000
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)

Row: TypeAlias = tuple[Any, ...] | FormatError
"""The values of a row, `None` or blank where missing; or why it, or what follows it, cannot be read."""


class TableReader(Protocol):
    """A table that can be read row by row."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        """Yield the values of each row in the columns at these positions."""

    def count(self) -> int | None:
        """Return the number of rows, `None` if only reading them would tell."""


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """An astropy table."""

    table: Table

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.table.colnames)

    def rows(self, positions: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Yield the values of each row in the columns at these positions."""
        columns = [self.table.columns[position] for position in positions]
        for start in range(0, len(self.table), _STEP):
            yield from zip(*(_values(column[start : start + _STEP]) for column in columns), strict=True)

    def count(self) -> int:
        """Return the number of rows."""
        return len(self.table)


def _values(column: Any) -> list[Any]:
    """Return a column as Python values: bytes decoded, quantities without their unit."""
    array = np.ma.asanyarray(getattr(column, "value", column))
    array = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
    return list(array.tolist())


def open_table(path: Path) -> TableReader:
    """Return a reader of a file."""
    require_regular(path)
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP

    def opener() -> BinaryIO:
        if not packed:
            return path.open("rb")
        plain = cast("BinaryIO", gzip.GzipFile(path))
        return cast("BinaryIO", io.BufferedReader(BoundedReader(plain, path.stat().st_size), _SNIFFED))

    try:
        with opener() as stream:
            start = stream.read(_SNIFFED)
    except _DAMAGED as error:
        raise FormatError(f"{str(path)!r} is compressed, but damaged: {error}; expected a whole gzip file.") from error
    for recognised, make in _FORMATS.values():
        if recognised(start):
            return make(opener, path)
    raise FormatError(
        f"{str(path)!r} begins with {start[:60]!r}; expected a table as {', '.join(_FORMATS)}. Ask the "
        "service for one of these (FORMAT=votable or csv), or convert the table by astropy.table.Table."
    )


def up_to_damage(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield rows and, where the file that they come from cannot be read on, an error that says so."""
    errors: list[Exception] = []
    with FailingAlone(errors.append):
        yield from rows
    for error in errors:
        if isinstance(error, _DAMAGED):
            yield FormatError(f"The compressed data are damaged or end too early: {error}. Expected a whole gzip file.")
        else:
            _log.debug("A table cannot be read on.", exc_info=error)
            yield FormatError(f"The table cannot be read on from here, so rows are missing: {reason_of(error)}")


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
"""By name of the format: whether a file begins like it, and what reads the file."""

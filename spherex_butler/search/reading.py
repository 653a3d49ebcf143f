"""Tables that users give, whatever kind of file they are in."""

from __future__ import annotations

__all__ = ("read_table",)

import gzip
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from astropy.table import Table

from ..errors import FormatError, reason_of
from ..formats.regular import require_regular
from .parquet import read_parquet

_GZIP = b"\x1f\x8b"
_SNIFFED = 4096
_ENCODING = "utf-8-sig"  # UTF-8, with the byte-order mark of spreadsheets or without


def _separated(separator: bytes) -> re.Pattern[bytes]:
    """Return how a text begins whose first line has the names of columns, which are words."""
    return re.compile(rb"(\xef\xbb\xbf)?\w+(" + separator + rb"\w+)+\r?(\n|$)")


_FORMATS: Mapping[str, tuple[re.Pattern[bytes], Callable[..., Table]]] = {
    "FITS": (re.compile(rb"SIMPLE  ="), partial(Table.read, format="fits", astropy_native=True)),
    "Parquet": (re.compile(rb"PAR1"), read_parquet),
    "ECSV": (re.compile(rb"(\xef\xbb\xbf)?# %ECSV"), partial(Table.read, format="ascii.ecsv", encoding=_ENCODING)),
    "VOTable": (
        re.compile(rb"\s*(\xef\xbb\xbf)?\s*<[^\0]*<?(\w+:)?VOTABLE\b"),
        partial(Table.read, format="votable"),
    ),
    "CSV": (
        re.compile(rb"(\xef\xbb\xbf)?[^\0-\x1f<{|\\][^\0-\x1f]*,[^\0-\x1f]*\r?(\n|$)"),
        partial(Table.read, format="ascii.csv", encoding=_ENCODING),
    ),
    "CSV with semicolons": (
        _separated(rb";"),
        partial(Table.read, format="ascii.csv", delimiter=";", encoding=_ENCODING),
    ),
    "text with tabs": (_separated(rb"\t"), partial(Table.read, format="ascii.tab", encoding=_ENCODING)),
    "text with blanks": (_separated(rb" +"), partial(Table.read, format="ascii.basic", encoding=_ENCODING)),
}
"""How files of a format begin, and what reads them; ``astropy_native`` has it make times of what FITS says are some."""


def read_table(path: str | os.PathLike[str]) -> Table:
    """Return the table in a file: ECSV, CSV, VOTable, FITS or Parquet, told by how it begins.

    In the place of commas there may be semicolons, tabs or blanks.

    Raises
    ------
    FormatError
        Raised if it is none of these, or damaged.
    """
    require_regular(path)
    with Path(path).open("rb") as file:
        start = file.read(_SNIFFED)
    if start.startswith(_GZIP):
        with gzip.open(path) as unzipped:
            start = unzipped.read(_SNIFFED)
    found = next(((name, read) for name, (begin, read) in _FORMATS.items() if begin.match(start)), None)
    if found is None:
        raise FormatError(
            f"{os.fspath(path)!r} begins with {start[:60]!r}; expected a table as ECSV, CSV, VOTable, FITS or Parquet, "
            "such as find_images returns."
        )
    name, read = found
    try:
        return read(path)
    except Exception as error:  # each of the readers raises what it likes
        raise FormatError(f"{os.fspath(path)!r} begins as {name}, but cannot be read: {reason_of(error)}") from error

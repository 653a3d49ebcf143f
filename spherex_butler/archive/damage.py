"""A row that cannot be read, as readers of tables hand it on."""

from __future__ import annotations

__all__ = ("Damaged", "damage_at_end")

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row that cannot be read, or what is wrong where the next one should be.

    Parameters
    ----------
    reason
        What was found and expected.
    """

    reason: str


def damage_at_end(rows: Iterator[_Row]) -> Iterator[_Row | Damaged]:
    """Yield rows, and where a compressed file ends too early that."""
    try:
        yield from rows
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Damaged(f"The compressed data are damaged or end too early: {error}. Expected a whole gzip file.")

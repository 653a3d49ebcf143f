"""Archive tables as CSV and ECSV.

The archive writes the JSON object of ``cloud_access`` unquoted, or quoted in
pieces, so that its commas part it into several fields, of which the last ones
of the row may be missing.  What is before it is right.  Such a row is taken if
its braces close and it has no more fields than the object has colons (each
comma of it comes with one); any other with more or fewer fields than the
header is not.
"""

from __future__ import annotations

__all__ = ("TextTable",)

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Self

from ..errors import FormatError
from .damage import Damaged, damage_at_end

_CLOUD = "cloud_access"
_DELIMITER = re.compile(r"#\s*delimiter:\s*'(.)'")
_CHUNK = 1 << 22
_SHOWN = 60  # characters of a field that is too long


@dataclass(frozen=True, slots=True)
class TextTable:
    """A file of rows of text.

    Parameters
    ----------
    opener
        Opens the file, as bytes.
    columns
        The names of the columns.
    delimiter
        What is between fields.
    first
        Number of the line after that with the names, from 0.
    """

    opener: Callable[[], BinaryIO]
    columns: tuple[str, ...]
    delimiter: str
    first: int

    @classmethod
    def of_csv(cls, opener: Callable[[], BinaryIO], path: Path) -> Self:  # noqa: ARG003  # all readers are made alike
        """Return a reader of a CSV file."""
        with _text(opener) as lines:
            names = next(csv.reader([next(lines, "")]), [])
        return cls(opener, tuple(names), ",", 1)

    @classmethod
    def of_ecsv(cls, opener: Callable[[], BinaryIO], path: Path) -> Self:
        """Return a reader of an ECSV file.

        Raises
        ------
        FormatError
            Raised if the file has nothing but its header.
        """
        delimiter = " "  # what ECSV has where its header does not say
        with _text(opener) as lines:
            for number, line in enumerate(lines):
                if not line.startswith("#"):
                    (names,) = csv.reader([line], delimiter=delimiter)
                    return cls(opener, tuple(names), delimiter, number + 1)
                match = _DELIMITER.match(line)
                delimiter = match[1] if match else delimiter
        raise FormatError(f"{str(path)!r} ends within its header; expected a line with the names of the columns.")

    def rows(self, positions: Sequence[int]) -> Iterator[tuple[str, ...] | Damaged]:
        """Yield of each row the fields at these positions."""
        return damage_at_end(self._rows(positions))

    def count(self) -> int:
        """Return the number of lines after the names."""
        lines, last = -self.first, b"\n"
        with self.opener() as stream:
            while chunk := stream.read(_CHUNK):
                lines, last = lines + chunk.count(b"\n"), chunk[-1:]
        return max(0, lines + (last != b"\n"))

    def _rows(self, positions: Sequence[int]) -> Iterator[tuple[str, ...] | Damaged]:
        pick, is_whole, width = itemgetter(*positions), self._check(positions), len(self.columns)
        cut_at = len(self.columns) - 1 if max(positions) == len(self.columns) - 1 else None
        for fields, ended in self._records(is_whole):
            if not fields:
                continue  # a blank line
            if not is_whole(fields):
                yield Damaged(
                    f"The row has {len(fields)} fields, from {fields[0]!r} to {fields[-1]!r}; expected {width}."
                )
            elif not ended and cut_at is not None:
                yield Damaged(
                    f"The file ends within the field {fields[cut_at]!r}; expected an end of the line after it."
                )
            else:
                yield pick(fields)

    def _check(self, positions: Sequence[int]) -> Callable[[list[str]], bool]:
        """Return what says whether a row's fields at these positions are where the header says."""
        width = len(self.columns)
        names = [name.strip().lower() for name in self.columns]
        if _CLOUD not in names:
            return lambda fields: len(fields) == width
        cloud = names.index(_CLOUD)
        if max(positions) > cloud:
            return lambda fields: len(fields) == width and fields[cloud].count("{") == fields[cloud].count("}")

        def is_explained(fields: list[str]) -> bool:
            rest = ",".join(fields[cloud:])
            closes = len(fields) > cloud and rest.count("{") == rest.count("}")
            return closes and len(fields) - width <= rest.count(":") and (len(fields) >= width or "{" in rest)

        return is_explained

    def _records(self, is_whole: Callable[[list[str]], bool]) -> Iterator[tuple[list[str], bool]]:
        """Yield the fields of each row, and whether its line ended."""
        held: list[str] = []
        with _text(self.opener) as lines:
            for _ in range(self.first):
                next(lines, None)
            reader = csv.reader(_remembered(lines, held), delimiter=self.delimiter)
            while True:
                try:
                    fields = next(reader, None)
                except csv.Error:  # a field that is too long, as one without an end soon is
                    fields = [held[0][:_SHOWN]]
                    reader = csv.reader(_remembered(lines, held), delimiter=self.delimiter)
                if fields is None:
                    return
                if len(held) == 1:
                    yield fields, _ended(held[0])
                else:
                    yield from self._of_lines(fields, held, is_whole)
                held.clear()

    def _of_lines(
        self, fields: list[str], lines: Sequence[str], is_whole: Callable[[list[str]], bool]
    ) -> Iterator[tuple[list[str], bool]]:
        """Yield the row of several lines, or those that a quote left open by an interrupted line has swallowed."""
        alone = [self._fields(line) for line in lines]
        if is_whole(fields) and not any(map(is_whole, alone)):
            yield fields, _ended(lines[-1])
        else:
            yield from zip(alone, map(_ended, lines), strict=True)

    def _fields(self, line: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=self.delimiter))
        except csv.Error:
            return [line[:_SHOWN]]


def _ended(line: str) -> bool:
    return line.endswith(("\n", "\r"))


def _remembered(lines: Iterator[str], held: list[str]) -> Iterator[str]:
    for line in lines:
        held.append(line)
        yield line


def _text(opener: Callable[[], BinaryIO]) -> Any:
    return io.TextIOWrapper(opener(), encoding="utf-8-sig", errors="replace", newline="")

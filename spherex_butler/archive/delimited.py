"""Archive tables as CSV and ECSV.

The archive does not quote the JSON object in ``cloud_access``, or quotes it in
pieces, so that its commas divide it into several fields, and fields may be
missing after it.  The fields before it are right.  Such a row is accepted if
its braces are balanced and it has no more surplus fields than the object has
colons (each comma in it stands before a key).  Any other row must have as many
fields as there are columns.
"""

from __future__ import annotations

__all__ = ("TextTable",)

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Self

from ..errors import FormatError

_CLOUD = "cloud_access"
_DELIMITER = re.compile(r"#\s*delimiter:\s*'(.)'")
_CHUNK = 1 << 22

_LONGEST = 1 << 20
"""Characters that a line may have; the archive's have 2,000."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A file of delimited text.

    ``first`` is the number of lines before the first row.
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
        """Return a reader of an ECSV file."""
        delimiter = " "  # the default of ECSV
        with _text(opener) as lines:
            for number, line in enumerate(lines):
                if not line.startswith("#"):
                    (names,) = csv.reader([line], delimiter=delimiter)
                    return cls(opener, tuple(names), delimiter, number + 1)
                match = _DELIMITER.match(line)
                delimiter = match[1] if match else delimiter
        raise FormatError(f"{str(path)!r} ends within its header; expected a line with the names of the columns.")

    def count(self) -> int:
        """Return the number of lines after the names."""
        lines, last = -self.first, b"\n"
        with self.opener() as stream:
            while chunk := stream.read(_CHUNK):
                lines, last = lines + chunk.count(b"\n"), chunk[-1:]
        return max(0, lines + (last != b"\n"))

    def rows(self, positions: Sequence[int]) -> Iterator[tuple[str, ...] | FormatError]:
        """Yield the fields of each row at these positions."""
        pick, is_whole = itemgetter(*positions), self._check(positions)
        may_be_cut = len(self.columns) - 1 in positions
        lines: list[str] = []  # of the row
        with _text(self.opener) as text:
            for _ in range(self.first):
                next(text, None)
            reader = csv.reader(_remembered(text, lines), delimiter=self.delimiter)
            while True:
                lines.clear()
                try:
                    fields = self._fields(reader, lines, is_whole)
                except FormatError as error:
                    yield error
                    continue
                if fields is None:
                    return
                if may_be_cut and not lines[-1].endswith(("\n", "\r")):
                    yield FormatError(f"The file ends within the field {fields[-1]!r}; expected a line break after it.")
                elif fields:  # no blank line
                    yield pick(fields)

    def _fields(
        self, reader: Iterator[list[str]], lines: Sequence[str], is_whole: Callable[[list[str]], bool]
    ) -> list[str] | None:
        """Return the next row, nothing of a blank line, and `None` at the end of the file."""
        try:
            fields = next(reader, None)
            alone = [next(csv.reader([line], delimiter=self.delimiter)) for line in lines] if len(lines) > 1 else []
        except csv.Error as error:  # an endless field
            if len(lines) == 1:
                raise FormatError(f"The line is not a row: {error}; expected {len(self.columns)} fields.") from None
            fields, alone = [], [[]]
        if alone and (not is_whole(fields or []) or any(map(is_whole, alone))):
            raise FormatError(
                f"A quote is opened in {lines[0][:60]!r}, but not closed on its line, so {len(lines)} lines are not "
                "read; expected a quote after each quoted field."
            )
        if fields and not is_whole(fields):
            found = f"The row has {len(fields)} fields, from {fields[0]!r} to {fields[-1]!r}"
            raise FormatError(f"{found}; expected {len(self.columns)}.")
        return fields

    def _check(self, positions: Sequence[int]) -> Callable[[list[str]], bool]:
        """Return a function that says whether the fields at these positions belong to the columns there."""
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


def _remembered(lines: Iterator[str], held: list[str]) -> Iterator[str]:
    for line in lines:
        held.append(line)
        yield line


@contextmanager
def _text(opener: Callable[[], BinaryIO]) -> Iterator[Iterator[str]]:
    with io.TextIOWrapper(opener(), encoding="utf-8-sig", errors="replace", newline="") as text:
        yield _lines(text)


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines, none of which fills the memory."""
    while line := text.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise FormatError(
                f"The line that begins with {line[:60]!r} has {_LONGEST:,} characters or more, so that rows are "
                "missing; expected a row on each line."
            )
        yield line

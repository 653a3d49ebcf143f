"""What a file holds: parts such as the HDUs of a FITS file, with their shapes and columns, whatever the format."""

from __future__ import annotations

__all__ = ("Column", "Content", "Part")

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int | None, ...]
"""Lengths of axes, slowest first; `None` where they vary."""

_MOST_LINES = 100


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; ``shape`` is that of one row's value."""

    name: str
    dtype: str | None
    unit: str | None = None
    shape: Shape = ()
    description: str | None = None

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Name, type with shape, unit and description."""
        kind = f"{self.dtype or ''}{f' {_shape_text(self.shape)}' if self.shape else ''}"
        return _line(self.name), kind, self.unit or "", _line(self.description or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a file.

    Parameters
    ----------
    name
        As in the file; empty where it has none.
    kind
        ``"header"`` (without data), ``"image"``, ``"table"``, ``"array"``, ``"mapping"``, or what a value is.
    shape, dtype, unit
        Of an image, array or value.
    compression
        How an image is compressed.
    rows, columns
        Of a table.
    """

    name: str
    kind: str
    shape: Shape | None = None
    dtype: str | None = None
    unit: str | None = None
    compression: str | None = None
    rows: int | None = None
    columns: tuple[Column, ...] = ()

    @property
    def words(self) -> str:
        """What it is, on one line."""
        if self.kind == "table":
            return f"table of {self.rows} {'row' if self.rows == 1 else 'rows'}"
        shape = _shape_text(self.shape) if self.shape else None
        return ", ".join(
            [
                " ".join(filter(None, ("header only" if self.kind == "header" else self.kind, self.dtype, shape))),
                *filter(None, (self.unit, self.compression)),
            ]
        )


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds.

    Parameters
    ----------
    format
        Of the file: ``"FITS"``, ``"VOTable"``, ``"HDF5"`` and so on.
    parts
        In the order of the file.
    provenance
        What Butler recorded of the dataset and its inputs: ``ID``, ``RUN``, ``INPUT 0 ID`` and so on.
    """

    format: str
    parts: tuple[Part, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the parts and their columns, a line each; of very many the first."""
        width = max((len(part.name) for part in self.parts), default=0)
        listed = [line for number, part in enumerate(self.parts) for line in _part_lines(number, part, width)]
        more = [f"… and {len(listed) - _MOST_LINES} more lines; --json has all"] if len(listed) > _MOST_LINES else []
        return [*listed[:_MOST_LINES], *more]


def _part_lines(number: int, part: Part, width: int) -> Iterator[str]:
    yield f"{number:<3} {_line(part.name):{width}}  {part.words}"
    rows = [column.words for column in part.columns]
    widths = [max(map(len, texts)) for texts in zip(*rows, strict=True)]
    for row in rows:
        yield f"      {'  '.join(f'{text:{width}}' for text, width in zip(row, widths, strict=True))}".rstrip()


def _line(text: str) -> str:
    """Return a text of a file on one line, without characters that a terminal obeys."""
    return "".join(character if character.isprintable() else " " for character in text)


def _shape_text(shape: Shape) -> str:
    return f"({', '.join('*' if length is None else str(length) for length in shape)}{',' * (len(shape) == 1)})"

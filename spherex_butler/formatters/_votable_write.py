"""Writing the data of a VOTable, as ``TABLEDATA``, ``BINARY`` or ``BINARY2``, in blocks."""

from __future__ import annotations

__all__ = ("write_data",)

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TextIO
from xml.sax.saxutils import escape

import numpy as np

from ._votable_cells import Cells, FixedCells, StringCells
from ._votable_elements import Array, Mask, Strings

_ROWS = 4096  # rows converted at a time
_BLOCK = 3 << 18  # bytes encoded at a time: a multiple of 3, so that base64 needs no padding between


def write_data(output: TextIO, serialization: str, columns: Sequence[tuple[Cells, Array, Mask]], rowcount: int) -> None:
    """Write the ``DATA`` element's contents.

    Parameters
    ----------
    output
        Where to.
    serialization
        ``"binary2"``, ``"binary"`` or ``"tabledata"``.
    columns
        Cells, values and mask of each.
    rowcount
        How many rows there are.
    """
    tag = serialization.upper()
    output.write(f"<{tag}>")
    if serialization == "tabledata":
        starts = range(0, rowcount, _ROWS)
        output.writelines(_text_rows(columns, slice(start, start + _ROWS)) for start in starts)
    else:
        output.write('<STREAM encoding="base64">\n')
        flagged = serialization == "binary2"
        parts = chain.from_iterable(
            _binary_rows(columns, slice(start, min(start + _ROWS, rowcount)), flagged=flagged)
            for start in range(0, rowcount, _ROWS)
        )
        output.writelines(f"{b64encode(block).decode()}\n" for block in _blocks(parts))
        output.write("</STREAM>")
    output.write(f"</{tag}>")


def _text_rows(columns: Sequence[tuple[Cells, Array, Mask]], rows: slice) -> str:
    texts = [_cell_texts(cells, values[rows], mask[rows]) for cells, values, mask in columns]
    return "".join(f"\n<TR><TD>{'</TD><TD>'.join(row)}</TD></TR>" for row in zip(*texts, strict=True))


def _cell_texts(cells: Cells, values: Array, mask: Mask) -> list[str]:
    texts = cells.format(values, mask)
    if isinstance(cells, StringCells) or isinstance(cells.elements, Strings):
        return [escape(text, {"\r": "&#13;"}) for text in texts]
    return texts


def _binary_rows(columns: Sequence[tuple[Cells, Array, Mask]], rows: slice, *, flagged: bool) -> Iterable[bytes]:
    count = rows.stop - rows.start
    stored = [cells.encode(values[rows], mask[rows]) for cells, values, mask in columns]
    flags = np.zeros((count, len(columns) if flagged else 0), bool)
    for index, (_, _, mask) in enumerate(columns if flagged else ()):
        flags[:, index] = mask[rows].reshape(count, -1).all(axis=1) if mask[rows].size else False
    packed = np.packbits(flags, axis=1)
    fields = [(f"f{index}", cell.stored) for index, (cell, _, _) in enumerate(columns) if isinstance(cell, FixedCells)]
    if len(fields) < len(columns):
        parts = [packed, *stored]
        return map(b"".join, zip(*(_split(part, count) for part in parts), strict=True))
    block = np.zeros(count, [("flags", "u1", (packed.shape[1],)), *fields])
    block["flags"] = packed
    for index, part in enumerate(stored):
        block[f"f{index}"] = part
    return [block.tobytes()]


def _split(part: Any, count: int) -> list[bytes]:
    """Return the bytes of each row of an array; of a list they are known."""
    if isinstance(part, list):
        return part
    joined = part.tobytes()
    size = len(joined) // count
    return [joined[row * size : (row + 1) * size] for row in range(count)]


def _blocks(parts: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for part in parts:
        pending += part
        while len(pending) >= _BLOCK:
            yield bytes(pending[:_BLOCK])
            del pending[:_BLOCK]
    if pending:
        yield bytes(pending)

"""What ``butler spherex search`` found, in lines that a person reads."""

from __future__ import annotations

__all__ = ("counts", "coverage_lines", "summary", "table_lines")

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from ..constants import DETECTORS
from ..repository.instrument import channel_table
from ..search import channel_counts
from ..summaries import number_of

_BARS = " ▁▂▃▄▅▆▇█"

_SHOWN = {
    "source": "",
    "obs_id": "",
    "detector": "",
    "channel": "",
    "wavelength": ".4f",
    "bandwidth": ".4f",
    "x": ".1f",
    "y": ".1f",
    "time": "",
    "release": "",
}
"""The columns that are shown where there is room, and how."""

_FIRST_LEFT_OUT = ("release", "channel", "bandwidth")
_LAST_LEFT_OUT = ("time", "y", "x", "wavelength")
"""Columns that narrow terminals do not show: without the first, and with short headings, 80 columns are enough."""

_SHORT = {"detector": "det", "wavelength": "um"}
_SOURCE = 20  # characters of each source at least, if they are longer, and in narrow terminals:
_SHORT_SOURCE = 8
_GAP = "  "

_ATTEMPTS: tuple[tuple[Sequence[str], Mapping[str, str], int], ...] = (
    *((_FIRST_LEFT_OUT[:number], {}, _SOURCE) for number in range(len(_FIRST_LEFT_OUT) + 1)),
    *((_FIRST_LEFT_OUT + _LAST_LEFT_OUT[:n], _SHORT, _SHORT_SOURCE) for n in range(len(_LAST_LEFT_OUT) + 1)),
)
"""What is left out, which headings are other ones, and how short sources may be; the first that fits is taken."""


def table_lines(table: QTable, room: int, *, with_source: bool) -> list[str]:
    """Return a heading and a line for each image, as wide as there is room for.

    Parameters
    ----------
    table
        Of a search, or the first rows of one.
    room
        Characters of a line.
    with_source
        Whether to say the source of each; where it is the same everywhere, `summary` says it.
    """
    if not len(table):
        return []
    cells = {name: _cells(table, name) for name in _SHOWN if with_source or name != "source"}
    for left_out, headings, least in _ATTEMPTS:
        columns = {headings.get(name, name): cells[name] for name in cells if name not in left_out}
        if _fits(columns, room, least):
            break
    return _lines(columns, room)


def _fits(columns: Mapping[str, Sequence[str]], room: int, least: int) -> bool:
    """Whether there is room for all columns and so many characters of each source."""
    return _left(columns, room) >= min(least, _width("source", columns.get("source", ())))


def _left(columns: Mapping[str, Sequence[str]], room: int) -> int:
    """Return how much room there is for the source, or without one for anything else."""
    others = sum(_width(name, cells) for name, cells in columns.items() if name != "source")
    return room - others - len(_GAP) * (len(columns) - 1)


def _width(name: str, cells: Sequence[str]) -> int:
    return max(map(len, [name, *cells])) if cells else 0


def _lines(columns: Mapping[str, Sequence[str]], room: int) -> list[str]:
    left = max(_SHORT_SOURCE, _left(columns, room))
    texts = [
        [name, *([_shortened(cell, left) for cell in cells] if name == "source" else cells)]
        for name, cells in columns.items()
    ]
    widths = [max(map(len, column)) for column in texts]
    rows = zip(*texts, strict=True)
    return [_GAP.join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _shortened(text: str, width: int) -> str:
    """Return begin and end of a text; names in catalogues often differ at the end."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[-end:]}"


def _cells(table: QTable, name: str) -> list[str]:
    column = table[name]
    if name == "time":
        known = np.broadcast_to(~column.mask, column.shape)
        return [str(time)[:19] if is_known else "" for time, is_known in zip(column.isot, known, strict=True)]
    values = getattr(column, "value", column)
    return [format(value, _SHOWN[name]) if _SHOWN[name] else str(value) for value in values]


def summary(table: QTable) -> str:
    """Return how many images of which detectors there are, and their wavelengths."""
    if not len(table):
        return "No image was found."
    detectors = _joined([f"D{number}" for number in sorted(set(table["detector"].tolist()))])
    images = f"{number_of(len(set(table['dataset_id'].tolist())), 'image')} of {detectors}"
    sources = set(table["source"].tolist())
    if len(sources) > 1:
        matches = f"{number_of(len(table), 'match')}: {number_of(len(sources), 'source')} in "
        return f"{matches}{images}{_span(table)}."
    (source,) = sources
    where = f"at {source}" if isinstance(source, str) else f"of source {source}"
    return f"{images}{_span(table)}, {where}."


def _joined(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _span(table: QTable) -> str:
    """Return the shortest and the longest wavelength in words, as one number if they look the same."""
    wavelengths = table["wavelength"].to_value(u.um)
    known = wavelengths[np.isfinite(wavelengths)]
    if not len(known):
        return ""
    shortest, longest = (f"{value:.3f}" for value in (known.min(), known.max()))
    return f", {shortest} um" if shortest == longest else f", {shortest} to {longest} um"


def counts(table: QTable) -> Table:
    """Return how often each spectral channel was seen, as a table: ``detector``, ``channel``, ``images``."""
    rows: list[Any] = [(*channel, number) for channel, number in channel_counts(table).items()]
    return Table(rows=rows, names=["detector", "channel", "images"])


def coverage_lines(table: QTable) -> list[str]:
    """Return lines that draw how often each channel was seen, and a sum."""
    found = channel_counts(table)
    seen = sum(map(bool, found.values()))
    return [*_drawn(found), f"{number_of(len(table), 'image')}, {seen} of {len(found)} channels."]


def _drawn(found: Mapping[tuple[int, int], int]) -> Iterator[str]:
    """Yield lines that draw how often each channel was seen: a bar, and the number."""
    channels = channel_table()
    most = max(1, *found.values())
    for detector in DETECTORS:
        of_detector = channels[channels["detector"] == detector]
        numbers = [found[detector, number] for number in of_detector["id"]]
        first, last = of_detector["wavelength"][0], of_detector["wavelength"][-1]
        bars = "".join(f"{_BARS[-(-(len(_BARS) - 1) * number // most)] * 3} " for number in numbers)
        yield f"D{detector}, channels 1 to {len(numbers)}: {first:.3f} to {last:.3f} um"
        if any(numbers):
            yield f"    {bars}".rstrip()
        yield f"    {''.join(f'{number:<4}' for number in numbers)}".rstrip()

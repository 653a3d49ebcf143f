"""Which cutouts of a remote image are read together, since their rows are near each other.

Rows are read whole, from the first to the last that a cutout needs, as a request takes longer than some more rows.
"""

from __future__ import annotations

__all__ = ("boxes_to_read",)

from collections.abc import Sequence

from ..formats.fits.boxes import Box

_GAP = 100
"""Rows between two cutouts that are read with them: three planes of so many rows have 2.4 MB, and take as long as the
three requests that they spare, at 20 MB/s for 16 requests of 0.6 s at once."""

_MOST = 400  # rows that are held at once: 10 MB of three planes, for each request under way


def boxes_to_read(boxes: Sequence[Box]) -> list[Box]:
    """Return for each cutout the box that is read for it: its own, or one that holds others as well."""
    found = list(boxes)
    group: list[int] = []
    for number in sorted(range(len(boxes)), key=lambda number: boxes[number].y_min):
        if group and not _fits(boxes[number], [boxes[member] for member in group]):
            group = []
        group.append(number)
        whole = _around([boxes[member] for member in group])
        for member in group:
            found[member] = whole
    return found


def _fits(box: Box, group: Sequence[Box]) -> bool:
    whole = _around([*group, box])
    return box.y_min - max(member.y_max for member in group) <= _GAP and whole.shape[0] <= _MOST


def _around(boxes: Sequence[Box]) -> Box:
    return Box(
        min(box.x_min for box in boxes),
        max(box.x_max for box in boxes),
        min(box.y_min for box in boxes),
        max(box.y_max for box in boxes),
    )

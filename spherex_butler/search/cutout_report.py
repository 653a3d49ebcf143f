"""What became of cutouts: an image for each row of a table, or why there is none."""

from __future__ import annotations

__all__ = ("Cutouts", "FailedCutout", "by_reason")

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import hide_secrets
from ..images.spectral_image import SpectralImage
from ..repository.reports import Report
from ..summaries import number_of


@dataclass(frozen=True, slots=True)
class FailedCutout:
    """A cutout that could not be had, and why.

    Parameters
    ----------
    row
        Which row of the table it is for, from 0.
    subject
        Position and dataset.
    reason
        What was found and expected.
    """

    row: int
    subject: str
    reason: str

    def __str__(self) -> str:
        return hide_secrets(f"row {self.row}, {self.subject}: {self.reason}")

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, without passwords."""
        return {"row": self.row, "subject": hide_secrets(self.subject), "reason": hide_secrets(self.reason)}


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Cutouts(Report[FailedCutout], Sequence["SpectralImage | FailedCutout"]):
    """The cutouts of a table: a sequence in the order of its rows, and a report.

    An item is a `~spherex_butler.SpectralImage`, or a `FailedCutout` that says why there is none. Cutouts that are in a
    folder are read from there each time they are asked for; of others, rows that ask for the same share one image.

    Parameters
    ----------
    failed
        Rows without a cutout, with reasons.
    warnings
        What was odd, but no obstacle.
    fetched
        How many cutouts were read from their images.
    there
        How many were in the folder already.
    """

    fetched: int = 0
    there: int = 0
    _items: list[SpectralImage | Path | FailedCutout] = field(default_factory=list)

    def begin(self, subjects: Iterable[str]) -> None:
        """Take rows in, none of which has a cutout yet."""
        reason = "It was not read before the call ended; the same call goes on."
        self._items = [FailedCutout(row, subject, reason) for row, subject in enumerate(subjects)]

    def add(self, rows: Iterable[int], cutout: SpectralImage | Path) -> None:
        """Note the cutout of rows."""
        for row in rows:
            self._items[row] = cutout

    def fail(self, failure: FailedCutout) -> None:
        """Note that a row has no cutout."""
        self._items[failure.row] = failure
        insort(self.failed, failure, key=lambda failed: failed.row)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> SpectralImage | FailedCutout: ...
    @overload
    def __getitem__(self, index: slice) -> list[SpectralImage | FailedCutout]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [_loaded(item) for item in self._items[index]]
        return _loaded(self._items[index])

    @property
    def images(self) -> Iterator[SpectralImage]:
        """The cutouts that there are, in the order of the table."""
        return (_loaded(item) for item in self._items if not isinstance(item, FailedCutout))

    @property
    def succeeded(self) -> NDArray[np.bool_]:
        """Which rows have a cutout: ``table[cutouts.succeeded]`` has one row for each of `images`."""
        return np.array([not isinstance(item, FailedCutout) for item in self._items], bool)

    @property
    def paths(self) -> list[Path | None]:
        """Where the cutout of each row is, `None` if there is none in a folder."""
        return [item if isinstance(item, Path) else None for item in self._items]

    @property
    def done(self) -> int:
        """How many rows it tells of."""
        return int(self.succeeded.sum()) + len(self.failed)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        fetched = number_of(self.fetched, "cutout")
        return f"{fetched} fetched, {self.there} already there, {len(self.failed)} failed"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold: counts, the file of each row, failures with reasons, warnings."""
        return {
            "fetched": self.fetched,
            "there": self.there,
            "files": [None if path is None else str(path) for path in self.paths],
            "failed": [one.to_dict() for one in self.failed],
            "warnings": list(self.warnings),
        }


def by_reason(failed: Iterable[FailedCutout]) -> list[str]:
    """Return a line for each reason, with the first row that failed for it and how many did."""
    found: dict[str, list[FailedCutout]] = {}
    for one in failed:
        found.setdefault(one.reason, []).append(one)
    return [
        str(first) if not others else f"{len(others) + 1} rows, the first is {first}"
        for first, *others in found.values()
    ]


def _loaded(item: SpectralImage | Path | FailedCutout) -> Any:
    return SpectralImage.read(item) if isinstance(item, Path) else item

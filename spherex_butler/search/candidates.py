"""The images whose regions lie near positions, read from the registry's tables.

Butler's own queries return a row at a time, each through several layers of Python, and that is what a search then
costs: few of a position's hundreds of candidates hold it. Here the database joins the regions of a pixel of the sky
into one text, which costs Python the same for one candidate as for a thousand.
"""

from __future__ import annotations

__all__ = ("Chosen", "ExposureTimes", "all_regions", "exposure_times", "overlapping_regions", "period_of")

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy
from lsst.daf.butler import Butler
from numpy.typing import NDArray
from sqlalchemy.sql.functions import aggregate_strings

from ..constants import DETECTORS, INSTRUMENT
from ..repository.butler_internals import ImageTables, selected_rows
from .joined_texts import MOST_NUMBERS, SEPARATOR, is_one_of, joined_column
from .regions import Regions

_PIXELS = 16
"""Pixels of the sky in one statement; at the mission's end each has some 6,000 candidates, of 150 bytes each."""

_PERIOD = 100_000
"""Exposures that differ in their last five digits only are of one planning period: that many are joined into a text."""


@dataclass(frozen=True)
class Chosen:
    """Which images are candidates at all.

    Parameters
    ----------
    detectors
        Numbers of detectors, `None` for all.
    exposures
        Ids of exposures, `None` for all.
    first, last
        Between which ids exposures have to be, `None` where there is no bound.
    """

    detectors: Collection[int] | None = None
    exposures: Collection[int] | None = None
    first: int | None = None
    last: int | None = None

    def of_detector(self, detector: int) -> Chosen:
        """Return which of them are of one detector."""
        return replace(self, detectors=frozenset({detector}))

    def conditions(self, columns: Any) -> Iterator[sqlalchemy.ColumnElement[bool]]:
        """Yield the conditions on a table's columns ``instrument``, ``detector`` and ``exposure``."""
        yield columns.instrument == INSTRUMENT
        if self.detectors is not None:
            yield columns.detector.in_(sorted(self.detectors))
        elif self._many is not None or self.first is not None or self.last is not None:
            # The indexes that serve have the detector before the exposure. Without it, SQLite would take the one that
            # has the exposure alone, and go through all images of the range.
            yield columns.detector.in_(DETECTORS)
        if self._many is not None:
            yield columns.exposure.between(int(self._many[0]), int(self._many[-1]))
        elif self.exposures is not None:
            yield is_one_of(columns.exposure, sorted(self.exposures))
        if self.first is not None:
            yield columns.exposure >= self.first
        if self.last is not None:
            yield columns.exposure <= self.last

    def of(self, regions: Regions) -> Regions:
        """Return those of regions whose exposures are chosen, where there are too many to name them in a statement."""
        if self._many is None:
            return regions
        place = np.minimum(np.searchsorted(self._many, regions.exposures), len(self._many) - 1)
        return regions.where(self._many[place] == regions.exposures)

    @cached_property
    def _many(self) -> NDArray[np.int64] | None:
        """The exposures in their order, if they are too many to name them in a statement."""
        if self.exposures is None or len(self.exposures) <= MOST_NUMBERS:
            return None
        return np.unique(np.fromiter(self.exposures, np.int64))


def overlapping_regions(
    butler: Butler, tables: ImageTables, pixels: Sequence[int], chosen: Chosen
) -> Iterator[Regions]:
    """Yield the regions that overlap pixels of the universe's common system, again for each pixel they overlap."""
    common = butler.dimensions.commonSkyPix
    overlaps, regions = tables.overlaps.columns, tables.regions.columns
    # By sums, so that SQLite does not begin with the regions of all exposures that are chosen, wherever they are.
    same = [overlaps.instrument == regions.instrument]
    same += [overlaps[name] + 0 == regions[name] for name in ("detector", "exposure")]
    for begin in range(0, len(pixels), _PIXELS):
        statement = (
            _joined(tables)
            .select_from(tables.overlaps.join(tables.regions, sqlalchemy.and_(*same)))
            .where(
                overlaps.skypix_system == common.system.name,
                overlaps.skypix_level == common.level,
                overlaps.skypix_index.in_(pixels[begin : begin + _PIXELS]),
                regions.region.is_not(None),
                *chosen.conditions(overlaps),
            )
            .group_by(overlaps.skypix_index, regions.detector)
        )
        yield from (chosen.of(Regions.decoded(*row)) for row in selected_rows(butler, statement))


def all_regions(butler: Butler, tables: ImageTables, chosen: Chosen) -> Iterator[Regions]:
    """Yield the regions of all images, some at a time."""
    regions = tables.regions.columns
    statement = (
        _joined(tables)
        .where(regions.region.is_not(None), *chosen.conditions(regions))
        .group_by(regions.instrument, regions.detector, period_of(regions.exposure))
    )
    yield from (chosen.of(Regions.decoded(*row)) for row in selected_rows(butler, statement))


def period_of(exposure: Any) -> Any:
    """Return what is the same for all exposures of a planning period."""
    return exposure - exposure % _PERIOD


def _joined(tables: ImageTables) -> sqlalchemy.Select[Any]:
    """Return the statement that joins exposures and encoded regions of each detector into texts."""
    regions = tables.regions.columns
    encoded = sqlalchemy.type_coerce(regions.region, sqlalchemy.Text)  # as it is stored
    return sqlalchemy.select(regions.detector, joined_column(regions.exposure), aggregate_strings(encoded, SEPARATOR))


@dataclass(frozen=True, slots=True, eq=False)
class ExposureTimes:
    """Ids of exposures, ascending, and the middles of their times in Butler's nanoseconds, TAI."""

    ids: NDArray[np.int64]
    middles: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def have(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which exposures have a time."""
        return np.isin(ids, self.ids)

    def middles_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the times of exposures that have one."""
        return self.middles[np.searchsorted(self.ids, ids)]


def exposure_times(
    butler: Butler, tables: ImageTables, chosen: Chosen, conditions: Iterable[sqlalchemy.ColumnElement[bool]] = ()
) -> ExposureTimes:
    """Return the times of those exposures between the bounds of the chosen ones that have one."""
    columns = tables.exposures.columns
    wanted = [columns.instrument == INSTRUMENT, tables.end != 0, *conditions]
    if chosen.first is not None:
        wanted.append(columns.id >= chosen.first)
    if chosen.last is not None:
        wanted.append(columns.id <= chosen.last)
    statement = sqlalchemy.select(columns.id, tables.begin, tables.end).where(*wanted).order_by(columns.id)
    rows = np.array([tuple(row) for row in selected_rows(butler, statement)], np.int64).reshape(-1, 3)
    return ExposureTimes(rows[:, 0], rows[:, 1] // 2 + rows[:, 2] // 2)

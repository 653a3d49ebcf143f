"""The images of a repository as ObsCore rows, read from the registry's tables some at a time.

The database is asked once a planning period, for some ten thousand rows, so that memory does not grow with the
repository. Where it has a live ObsCore table, what that knows and the other tables do not is taken from there: the
archive's own centres of images, sizes and dates.
"""

from __future__ import annotations

__all__ = ("ImageRows",)

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from math import isnan
from typing import Any
from urllib.parse import quote

import numpy as np
import sqlalchemy
from lsst.daf.butler import Butler, DimensionRecord
from numpy.typing import NDArray

from ..constants import INSTRUMENT
from ..repository.butler_internals import collection_names, image_tables, live_table, selected_rows
from ..repository.live_obscore import file_values
from ..repository.opened import check_opened, datastore_root
from ..search.candidates import Chosen, period_of
from ..search.joined_texts import MOST_NUMBERS
from ..search.regions import polygons
from ..search.registered import ImageFilter, image_keys, searched_collections
from .records import Footprint, collection_of_run, constant_values, detector_values, footprints, publisher_did, utc_days

_FROM_LIVE = ("s_ra", "s_dec", "access_estsize", "obs_release_date")
_ALL = Chosen()
_PERIOD = 100_000  # ids of exposures that differ in their last five digits only are of one planning period

Row = dict[str, Any]
"""The values of ObsCore's columns, by name; those that are not known are missing."""


class ImageRows:
    """Makes ObsCore rows of the images in a repository.

    Parameters
    ----------
    butler
        A SPHEREx repository.
    collections
        Where to search; by default `SPHEREx/defaults`.
    wanted
        What images have to be, and whether of several processings only the first that is found counts.
    """

    def __init__(
        self,
        butler: Butler,
        collections: str | Iterable[str] | None = None,
        *,
        latest: bool = True,
        wanted: ImageFilter | None = None,
    ) -> None:
        self._butler = butler
        self._detectors: Mapping[int, DimensionRecord] = check_opened(butler, writeable=False).detectors
        searched = searched_collections(butler, collections)
        self._wanted = replace(wanted or ImageFilter(()), collections=searched.numbers, latest=latest)
        self._tables = image_tables(butler)
        self._live = live_table(butler)
        self._runs: dict[int, str] = {}
        self._root = datastore_root(butler).geturl()

    def count(self) -> int:
        """Return how many images there are in the collections, at most: each processing counts."""
        tags = self._tables.tags.columns
        statement = sqlalchemy.select(sqlalchemy.func.count()).where(*self._in_collections(tags))
        return int(next(iter(selected_rows(self._butler, statement)))[0])

    def batches(self, chosen: Chosen = _ALL) -> Iterator[list[Row]]:
        """Yield the rows of a planning period at a time, in order of exposures and detectors."""
        for first in self._periods(chosen):
            within = replace(
                chosen,
                first=max(first, chosen.first or first),
                last=min(first + _PERIOD - 1, chosen.last or first + _PERIOD),
            )
            if rows := self._rows(within):
                yield rows

    def detectors_of_bands(self, bands: Iterable[tuple[float, float]]) -> frozenset[int]:
        """Return the detectors that see one of several ranges of wavelengths, in metres."""
        found = {number: detector_values(record) for number, record in self._detectors.items()}
        return frozenset(
            number
            for number, values in found.items()
            if any(values["em_min"] <= last and values["em_max"] >= first for first, last in bands)
        )

    def of_images(self, keys: NDArray[np.int64]) -> Iterator[list[Row]]:
        """Yield the rows of images that are given by their keys, in the order of these, some at a time."""
        unique = np.unique(keys)
        exposures = np.unique(unique // 10)
        for begin in range(0, len(exposures), MOST_NUMBERS):
            yield self._rows(Chosen(exposures=exposures[begin : begin + MOST_NUMBERS]), unique)

    def _periods(self, chosen: Chosen) -> list[int]:
        columns = self._tables.exposures.columns
        statement = sqlalchemy.select(period_of(columns.id)).where(
            columns.instrument == INSTRUMENT, *self._wanted.conditions(self._tables)
        )
        found = sorted(row[0] for row in selected_rows(self._butler, statement.distinct()))
        return [
            period
            for period in found
            if period + _PERIOD > (chosen.first or 0) and (chosen.last is None or period <= chosen.last)
        ]

    def _in_collections(self, tags: Any) -> tuple[sqlalchemy.ColumnElement[bool], ...]:
        # Sums use no index: there is a better one, of exposures; see search.registered.
        return (
            tags.dataset_type_id + 0 == self._tables.dataset_type_id,
            (tags.collection_id + 0).in_(self._wanted.collections),
        )

    def _rows(self, chosen: Chosen, keys: NDArray[np.int64] | None = None) -> list[Row]:
        found = list(self._found_first(selected_rows(self._butler, self._statement(chosen))))
        if keys is not None:
            given = image_keys(np.array([one.exposure for one in found], np.int64), _detectors(found))
            found = [found[place] for place in np.flatnonzero(np.isin(given, keys)).tolist()]
        begins, ends = (
            utc_days(np.array([getattr(one, name) for one in found], np.int64)).tolist() for name in ("begin", "end")
        )
        places = _places(found)
        unknown = {one.run_id for one in found} - self._runs.keys()
        self._runs |= collection_names(self._butler, unknown)
        return [self._row(*parts) for parts in zip(found, begins, ends, places, strict=True)]

    def _statement(self, chosen: Chosen) -> sqlalchemy.Select[Any]:
        tables = self._tables
        tags, datasets, files, regions, exposures = (
            table.columns for table in (tables.tags, tables.datasets, tables.files, tables.regions, tables.exposures)
        )
        joined: Any = tables.tags.join(tables.datasets, tags.dataset_id == datasets.id)
        joined = joined.join(
            tables.exposures, (tags.instrument == exposures.instrument) & (tags.exposure == exposures.id)
        )
        same = [tags[name] == regions[name] for name in ("instrument", "exposure", "detector")]
        joined = joined.outerjoin(tables.regions, sqlalchemy.and_(*same))
        joined = joined.outerjoin(tables.files, tags.dataset_id == files.dataset_id)
        live: list[Any] = []
        if self._live is not None:
            joined = joined.outerjoin(self._live.table, tags.dataset_id == self._live.columns[self._live.key])
            live = [self._live.columns[name] for name in _FROM_LIVE]
        columns = [
            *(tags.exposure, tags.detector, tags.collection_id, datasets.run_id, tags.dataset_id),
            *(files.path, files.file_size, exposures.obs_id, exposures.exposure_time, exposures.target_name),
            *(exposures.science_program, tables.begin.label("begin"), tables.end.label("end")),
            sqlalchemy.type_coerce(regions.region, sqlalchemy.Text).label("region"),
        ]
        return (
            sqlalchemy.select(*columns, *live)
            .select_from(joined)
            .where(*self._in_collections(tags), *chosen.conditions(tags), *self._wanted.conditions(tables))
            .order_by(tags.exposure, tags.detector)
        )

    def _found_first(self, rows: Iterable[Any]) -> Iterator[Any]:
        """Yield of the rows of an image that of the first collection, or each dataset once, the first first."""
        rank = {number: place for place, number in enumerate(self._wanted.collections)}
        for _, of_image in groupby(rows, key=lambda row: (row.exposure, row.detector)):
            ordered = sorted(of_image, key=lambda row: rank[row.collection_id])
            once = list({row.dataset_id: row for row in reversed(ordered)}.values())[::-1]
            yield from once[:1] if self._wanted.latest else once

    def _row(self, found: Any, begin: float, end: float, place: Footprint | None) -> Row:
        run, detector = self._runs[found.run_id], self._detectors[found.detector]
        collection = collection_of_run(run, found.science_program)
        row = {
            **constant_values(),
            **detector_values(detector),
            **(place._asdict() if place is not None else {}),
            "obs_id": found.obs_id,
            "obs_collection": collection or run,
            "obs_publisher_did": publisher_did(collection, found.obs_id, found.detector, found.dataset_id),
            "target_name": found.target_name,
            "t_exptime": found.exposure_time,
            "t_min": None if isnan(begin) else begin,
            "t_max": None if isnan(end) else end,
            "exposure": found.exposure,
            "detector": found.detector,
            "run": run,
            "dataset_id": str(found.dataset_id),
        }
        if self._live is not None:
            row |= {name: value for name in _FROM_LIVE if (value := getattr(found, name)) is not None}
        return row | {"access_url": self._address(found.path)} | file_values(found.path, found.file_size)

    def _address(self, path: str | None) -> str | None:
        """Return where a file is: the registry has paths in the datastore, and absolute addresses outside of it."""
        return path if not path or "://" in path else f"{self._root}{quote(path)}"


def _detectors(found: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([one.detector for one in found], np.int64)


def _places(found: Sequence[Any]) -> list[Footprint | None]:
    """Return where images are, `None` where that is not known."""
    known = [place for place, one in enumerate(found) if one.region is not None]
    places: list[Footprint | None] = [None] * len(found)
    for some, corners in polygons([found[place].region for place in known]):
        numbers = [known[place] for place in some]
        of_some = footprints(corners, _detectors([found[place] for place in numbers]))
        for place, footprint in zip(numbers, of_some, strict=True):
            places[place] = footprint
    return places

"""What the registry knows of images: their datasets, when they were taken, and where their files are."""

from __future__ import annotations

__all__ = ("ImageFilter", "RegisteredImages", "image_keys", "registered_images", "searched_collections")

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import sqlalchemy
from lsst.daf.butler import Butler, CollectionType, Timespan
from lsst.daf.butler.registry import MissingCollectionError
from numpy.typing import NDArray

from ..constants import DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ParameterError
from ..repository.butler_internals import ImageTables, collection_names, collection_numbers, selected_rows
from ..repository.opened import datastore_root
from ..repository.runs import release_of_run

_EXPOSURES = 1000  # in one statement; databases bound how many values one may have

_Keys = NDArray[np.int64]


def image_keys(exposures: NDArray[np.int64], detectors: NDArray[np.int64] | np.int64) -> _Keys:
    """Return a number for each image, by exposure and detector."""
    return exposures * 10 + detectors


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """What an image has to be, apart from where.

    Parameters
    ----------
    collections
        Numbers of the collections that are searched, in their order.
    latest
        Whether of several datasets of an image only the first that is found counts.
    timespan
        With what its exposure overlaps.
    planning_period, survey
        What its exposure belongs to.
    """

    collections: tuple[int, ...]
    latest: bool = True
    timespan: Timespan | None = None
    planning_period: str | None = None
    survey: str | None = None

    def conditions(self, exposures: Any) -> Iterator[sqlalchemy.ColumnElement[bool]]:
        """Yield conditions on the columns of exposures."""
        if self.timespan is not None:
            begin, end = self.timespan.nsec
            yield exposures.timespan_begin < end
            yield exposures.timespan_end > begin
        if self.planning_period is not None:
            yield exposures.planning_period == self.planning_period
        if self.survey is not None:
            yield exposures.science_program == self.survey


def searched_collections(butler: Butler, collections: str | Iterable[str] | None) -> tuple[list[str], tuple[int, ...]]:
    """Return the collections that are searched, and the numbers of those that hold images, in their order.

    Raises
    ------
    ParameterError
        Raised if one does not exist.
    """
    given = DEFAULT_COLLECTION if collections is None else collections
    names = [given] if isinstance(given, str) else list(given)
    kinds = {CollectionType.RUN, CollectionType.TAGGED}
    try:
        found = butler.collections.query(names, collection_types=kinds, flatten_chains=True)
    except MissingCollectionError as error:
        if collections is None:  # nothing was ingested yet
            return names, ()
        raise ParameterError(
            f"{error} Expected collections of the repository; 'butler query-collections REPO' lists them."
        ) from None
    return names, collection_numbers(butler, found)


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredImages:
    """Datasets of images, a row for each, in order of ``keys``.

    ``times`` are the middles of exposures in Butler's nanoseconds, TAI, 0 where they are not known.
    """

    keys: _Keys
    times: NDArray[np.int64]
    exposure_times: NDArray[np.float64]
    obs_ids: NDArray[np.str_]
    releases: NDArray[np.str_]
    runs: NDArray[np.str_]
    dataset_ids: NDArray[np.str_]
    uris: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.keys)


def registered_images(butler: Butler, tables: ImageTables, keys: _Keys, wanted: ImageFilter) -> RegisteredImages:
    """Return the datasets of images, which are given by their keys."""
    order = {number: rank for rank, number in enumerate(wanted.collections)}
    rows = list(_rows(butler, tables, np.unique(keys), wanted)) if order else []
    rows.sort(key=lambda row: (row.exposure, row.detector, order[row.collection_id]))
    kept = _firsts(rows, by_image=wanted.latest)
    runs = collection_names(butler, {row.run_id for row in kept})
    releases = {number: release_of_run(name) or "" for number, name in runs.items()}
    base = datastore_root(butler).geturl()
    return RegisteredImages(
        keys=image_keys(_integers(row.exposure for row in kept), _integers(row.detector for row in kept)),
        times=_integers((row.timespan_begin or 0) // 2 + (row.timespan_end or 0) // 2 for row in kept),
        exposure_times=np.array([np.nan if row.exposure_time is None else row.exposure_time for row in kept], float),
        obs_ids=_texts(row.obs_id or "" for row in kept),
        releases=_texts(releases[row.run_id] for row in kept),
        runs=_texts(runs[row.run_id] for row in kept),
        dataset_ids=_texts(str(row.id) for row in kept),
        uris=_texts(_uri(base, row.path) for row in kept),
    )


def _firsts(rows: list[Any], *, by_image: bool) -> list[Any]:
    """Return the first dataset of each image, or each dataset once."""
    found: dict[Any, Any] = {}
    for row in rows:
        found.setdefault((row.exposure, row.detector) if by_image else row.id, row)
    return list(found.values())


def _rows(butler: Butler, tables: ImageTables, keys: _Keys, wanted: ImageFilter) -> Iterator[Any]:
    tags, datasets, exposures, files = (
        table.columns for table in (tables.tags, tables.datasets, tables.exposures, tables.files)
    )
    same_exposure = sqlalchemy.and_(tags.instrument == exposures.instrument, tags.exposure == exposures.id)
    joined = (
        tables.tags.join(tables.datasets, tags.dataset_id == datasets.id)
        .join(tables.exposures, same_exposure)
        .outerjoin(tables.files, tags.dataset_id == files.dataset_id)
    )
    columns = (
        tags.exposure, tags.detector, tags.collection_id, datasets.id, datasets.run_id, files.path,
        exposures.obs_id, exposures.exposure_time, exposures.timespan_begin, exposures.timespan_end,
    )  # fmt: skip
    for detector in np.unique(keys % 10).tolist():
        ids = (keys[keys % 10 == detector] // 10).tolist()
        for begin in range(0, len(ids), _EXPOSURES):
            statement = (
                sqlalchemy.select(*columns)
                .select_from(joined)
                .where(
                    tags.dataset_type_id == tables.dataset_type_id,
                    tags.collection_id.in_(wanted.collections),
                    tags.instrument == INSTRUMENT,
                    tags.detector == detector,
                    tags.exposure.in_(ids[begin : begin + _EXPOSURES]),
                    *wanted.conditions(exposures),
                )
            )
            yield from selected_rows(butler, statement)


def _integers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64)


def _texts(values: Iterable[str]) -> NDArray[np.str_]:
    return np.array(list(values), dtype=np.str_)


def _uri(base: str, path: str | None) -> str:
    """Return where a file is: the registry has paths in the datastore, and absolute addresses of files outside it."""
    if path is None:
        return ""  # the file was given up
    return path if "://" in path else f"{base}{quote(path)}"

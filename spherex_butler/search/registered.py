"""What the registry knows of images: their datasets, when they were taken, and where their files are."""

from __future__ import annotations

__all__ = (
    "ImageFilter",
    "RegisteredImages",
    "Searched",
    "image_keys",
    "registered_images",
    "runs_and_releases",
    "searched_collections",
)

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import numpy as np
import sqlalchemy
from lsst.daf.butler import Butler, CollectionInfo, CollectionType, Timespan
from lsst.daf.butler.registry import MissingCollectionError
from lsst.daf.butler.utils import has_globs
from numpy.typing import NDArray
from sqlalchemy.sql.functions import aggregate_strings

from ..constants import DEFAULT_COLLECTION, INSTRUMENT
from ..errors import FormatError, ParameterError
from ..repository.butler_internals import (
    ImageTables,
    collection_names,
    collection_numbers,
    selected_rows,
)
from ..repository.opened import datastore_root
from ..repository.runs import newest_first, release_of_run
from .joined_texts import MOST_NUMBERS, SEPARATOR, integers, is_one_of, joined_column

_HOLD_IMAGES = {CollectionType.RUN, CollectionType.TAGGED}
_LINE = "\n"  # between paths, which may have a comma
_NANO = 10**9
_UNKNOWN = -1
_UUID = 36  # characters, with hyphens
_HYPHENS = (8, 13, 18, 23)

_TEXT = np.dtypes.StringDType()
"""Of texts that are long: the longest decides how much memory each takes in an array of `numpy.str_`."""

_Keys: TypeAlias = NDArray[np.int64]
_Texts: TypeAlias = NDArray[Any]


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
    all_runs
        Whether all of them are runs, so that each is the run of the datasets in it.
    latest
        Whether of several datasets of an image only the first that is found counts.
    timespan
        With what its exposure overlaps.
    planning_period, survey
        What its exposure belongs to.
    """

    collections: tuple[int, ...]
    all_runs: bool = False
    latest: bool = True
    timespan: Timespan | None = None
    planning_period: str | None = None
    survey: str | None = None

    def with_runs(self, tables: ImageTables, joined: Any) -> tuple[Any, Any]:
        """Return joined tables of datasets that know the run of each, and the column with its number."""
        tags, datasets = tables.tags.columns, tables.datasets.columns
        if self.all_runs:
            return joined, tags.collection_id
        return joined.join(tables.datasets, tags.dataset_id == datasets.id), datasets.run_id

    def conditions(self, tables: ImageTables) -> Iterator[sqlalchemy.ColumnElement[bool]]:
        """Yield conditions on exposures."""
        if self.timespan is not None:
            begin, end = self.timespan.nsec
            yield tables.end != 0
            yield tables.begin < end
            yield tables.end > begin
        if self.planning_period is not None:
            yield tables.exposures.columns.planning_period == self.planning_period
        if self.survey is not None:
            yield tables.exposures.columns.science_program == self.survey


@dataclass(frozen=True, slots=True)
class Searched:
    """Collections that are searched: as they were given, and those that hold images, by number."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    all_runs: bool


def searched_collections(butler: Butler, collections: str | Iterable[str] | None) -> Searched:
    """Return the collections that are searched, and of them and their members those that hold images, in their order.

    What a pattern matches has no order of its own: processings come newest first, then others, in the order of chains
    that are matched as well.

    Raises
    ------
    ParameterError
        Raised if one does not exist, or a pattern matches none.
    """
    given = DEFAULT_COLLECTION if collections is None else collections
    if not isinstance(given, Iterable):
        raise ParameterError(f"collections={given!r} is not possible; expected names of collections.")
    names = (given,) if isinstance(given, str) else tuple(given)
    try:
        found = list({info.name: info for name in names for info in _meant(butler, name)}.values())
    except MissingCollectionError as error:
        if collections is None:  # nothing was ingested yet
            return Searched(names, (), all_runs=True)
        raise ParameterError(
            f"{error} Expected collections of the repository; 'butler query-collections REPO' lists them."
        ) from None
    all_runs = all(info.type is CollectionType.RUN for info in found)
    return Searched(names, collection_numbers(butler, [info.name for info in found]), all_runs)


def _meant(butler: Butler, name: str) -> list[CollectionInfo]:
    """Return the collections that a name or a pattern means, in their order."""
    if not isinstance(name, str):
        raise ParameterError(f"The collection {name!r} is no text; expected a name such as {DEFAULT_COLLECTION!r}.")
    found = list(butler.collections.query_info(name, _HOLD_IMAGES, flatten_chains=True))
    if not has_globs(name):
        return found
    if not butler.collections.query(name):
        raise ParameterError(
            f"No collection matches {name!r}; expected collections of the repository: 'butler query-collections REPO' "
            "lists them."
        )
    chains = butler.collections.query(name, CollectionType.CHAINED)
    of_chains = butler.collections.query_info(chains, _HOLD_IMAGES, flatten_chains=True)
    by_name = {info.name: info for info in (*of_chains, *found)}
    return [by_name[one] for one in newest_first(by_name)]


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
    ids: NDArray[np.bytes_]
    uris: _Texts

    def __len__(self) -> int:
        return len(self.keys)

    def dataset_ids_of(self, rows: NDArray[np.intp]) -> NDArray[np.str_]:
        """Return the ids of some of them, as UUIDs are written; SQLite has them without hyphens."""
        ids = self.ids[rows]
        written = np.full((len(ids), _UUID), ord("-"), np.uint32)
        hyphens = () if ids.dtype.itemsize == _UUID else _HYPHENS
        digits = [place for place in range(_UUID) if place not in hyphens]
        if len(ids):
            written[:, digits] = ids.view(np.uint8).reshape(len(ids), -1)
        return written.view(f"U{_UUID}").reshape(len(ids))

    def uris_of(self, rows: NDArray[np.intp]) -> NDArray[np.str_]:
        """Return where the files of some of them are, as users know texts."""
        uris = self.uris[rows]
        return uris.astype(f"U{max(1, np.strings.str_len(uris).max(initial=1))}")


def registered_images(butler: Butler, tables: ImageTables, keys: _Keys, wanted: ImageFilter) -> RegisteredImages:
    """Return the datasets of images, which are given by their keys."""
    unique = np.unique(keys)
    exposures = _exposures(butler, tables, np.unique(unique // 10), wanted)
    unique = unique[np.isin(unique // 10, exposures.ids)]
    found = _datasets(butler, tables, unique, wanted).found_first(wanted)
    place = np.searchsorted(exposures.ids, found.keys // 10)
    runs, releases = runs_and_releases(butler, found.runs)
    return RegisteredImages(
        keys=found.keys,
        times=exposures.times[place],
        exposure_times=exposures.exposure_times[place],
        obs_ids=exposures.obs_ids[place],
        releases=releases,
        runs=runs,
        ids=found.ids,
        uris=_uris(datastore_root(butler).geturl(), found.paths),
    )


def runs_and_releases(butler: Butler, numbers: NDArray[np.int64]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return the names of runs, given by their numbers, and the release that each is of; empty where it is of none."""
    unique, place = np.unique(numbers, return_inverse=True)
    by_number = collection_names(butler, unique.tolist())
    names = [by_number[number] for number in unique.tolist()]
    releases = [release_of_run(name) or "" for name in names]
    return np.array(names, np.str_)[place], np.array(releases, np.str_)[place]


@dataclass(frozen=True, slots=True, eq=False)
class _Exposures:
    """What is known of exposures, in order of ``ids``."""

    ids: NDArray[np.int64]
    obs_ids: NDArray[np.str_]
    times: NDArray[np.int64]
    exposure_times: NDArray[np.float64]


def _exposures(butler: Butler, tables: ImageTables, ids: NDArray[np.int64], wanted: ImageFilter) -> _Exposures:
    """Return those exposures that are wanted, as texts that the database joins: a row each would take much longer."""
    columns = tables.exposures.columns
    length = sqlalchemy.cast(sqlalchemy.func.coalesce(columns.exposure_time, _UNKNOWN) * _NANO, sqlalchemy.BigInteger)
    joined = sqlalchemy.select(
        joined_column(columns.id),
        joined_column(tables.begin),
        joined_column(tables.end),
        joined_column(length),  # as an integer, since text would round it
        joined_column(sqlalchemy.func.coalesce(columns.obs_id, "")),
    ).where(columns.instrument == INSTRUMENT, *wanted.conditions(tables))
    statements = (joined.where(is_one_of(columns.id, some)) for some in _some_at_once(ids))
    parts = [row for one in statements for row in selected_rows(butler, one) if row[0] is not None]
    known, begins, ends, lengths = (
        np.concatenate([np.zeros(0, np.int64), *(integers(row[place]) for row in parts)]) for place in range(4)
    )
    obs_ids = np.array([text for row in parts for text in row[4].split(SEPARATOR)], np.str_)
    order = np.argsort(known)
    seconds = np.where(lengths < 0, np.nan, lengths / _NANO)
    return _Exposures(known[order], obs_ids[order], (begins // 2 + ends // 2)[order], seconds[order])


@dataclass(frozen=True, slots=True, eq=False)
class _Datasets:
    """Datasets of images: which collection has them, their runs, ids and paths."""

    keys: _Keys
    collections: NDArray[np.int64]
    runs: NDArray[np.int64]
    ids: NDArray[np.bytes_]
    paths: _Texts

    def found_first(self, wanted: ImageFilter) -> _Datasets:
        """Return the first dataset of each image, or each once, in order of keys and collections."""
        numbers = np.array(wanted.collections, np.int64)
        by_number = np.argsort(numbers)
        rank = by_number[np.searchsorted(numbers[by_number], self.collections)] if len(numbers) else self.collections
        order = np.lexsort([rank, self.keys])
        same = self.keys[order] if wanted.latest else self.ids[order]
        _, first = np.unique(same, return_index=True)
        kept = order[np.sort(first)]
        return _Datasets(self.keys[kept], self.collections[kept], self.runs[kept], self.ids[kept], self.paths[kept])


def _datasets(butler: Butler, tables: ImageTables, keys: _Keys, wanted: ImageFilter) -> _Datasets:
    tags, files = tables.tags.columns, tables.files.columns
    with_files = tables.tags.outerjoin(tables.files, tags.dataset_id == files.dataset_id)
    joined, run = wanted.with_runs(tables, with_files)
    path = sqlalchemy.func.coalesce(files.path, "")
    columns = [
        *map(joined_column, (tags.exposure, tags.collection_id, run, tags.dataset_id)),
        aggregate_strings(path, _LINE),
    ]
    chosen = (
        sqlalchemy.select(*columns)
        .select_from(joined)
        .where(
            # Sums use no index: there is a better one, of exposures. By that of collections the database would go
            # through all images of the detector in each, or look for every exposure in each.
            tags.dataset_type_id + 0 == tables.dataset_type_id,
            (tags.collection_id + 0).in_(wanted.collections),
            tags.instrument == INSTRUMENT,
        )
    )
    parts = []
    for detector in np.unique(keys % 10).tolist():
        for some in _some_at_once(keys[keys % 10 == detector] // 10):
            statement = chosen.where(tags.detector + 0 == detector, is_one_of(tags.exposure, some))
            parts += [_part(detector, row) for row in selected_rows(butler, statement) if row[0] is not None]
    empty = _Datasets(*(np.zeros(0, kind) for kind in (np.int64, np.int64, np.int64, "S1", _TEXT)))
    return _Datasets(
        *(
            np.concatenate([getattr(part, field.name) for part in (empty, *parts)])
            for field in dataclasses.fields(_Datasets)
        )
    )


def _part(detector: int, row: Any) -> _Datasets:
    """Return the datasets of one detector from values that are joined to texts."""
    exposures, collections, runs, ids, paths = row
    keys = image_keys(integers(exposures), np.int64(detector))
    found = np.array(paths.split(_LINE), _TEXT)
    if len(found) != len(keys):
        raise FormatError(
            f"Of {len(keys)} files of detector {detector}, one has a line break in its path; expected none. Search "
            "other collections."
        )
    return _Datasets(keys, integers(collections), integers(runs), _ids(ids, len(keys)), found)


def _ids(text: str, number: int) -> NDArray[np.bytes_]:
    """Return ids, which have all the same length, from a joined text."""
    characters = np.frombuffer(f"{text}{SEPARATOR}".encode("ascii"), np.uint8).reshape(number, -1)[:, :-1]
    return np.ascontiguousarray(characters).view(f"S{characters.shape[1]}").reshape(number)


def _some_at_once(numbers: NDArray[np.int64]) -> Iterator[list[int]]:
    for begin in range(0, len(numbers), MOST_NUMBERS):
        yield numbers[begin : begin + MOST_NUMBERS].tolist()


def _uris(base: str, paths: _Texts) -> _Texts:
    """Return where files are: the registry has paths in the datastore, and absolute addresses of files outside it."""
    outside = (np.strings.find(paths, "://") >= 0) | (paths == "")  # or the file was given up
    inside = np.flatnonzero(~outside)
    found = paths.copy()
    found[inside] = np.array([f"{base}{quote(path)}" for path in paths[inside].tolist()], _TEXT)
    return found

"""All images that collections hold, as arrays: millions in seconds."""

from __future__ import annotations

__all__ = ("ListedImages", "found_first", "listed_images")

from dataclasses import dataclass

import numpy as np
import sqlalchemy
from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress
from numpy.typing import NDArray

from ..repository.butler_internals import ImageTables, selected_rows
from .candidates import Chosen, exposure_times, period_of
from .joined_texts import integers, joined_column
from .registered import ImageFilter, image_keys, runs_and_releases


@dataclass(frozen=True, slots=True, eq=False)
class ListedImages:
    """Images, each once, in order of ``keys``.

    ``releases`` are those of the datasets that are found first, and empty for those of none; ``times`` are the middles
    of exposures in Butler's nanoseconds, TAI, 0 where they are not known.
    """

    keys: NDArray[np.int64]
    releases: NDArray[np.str_]
    times: NDArray[np.int64]

    def places(self, keys: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return where images are in the list, -1 for those that are not."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


def listed_images(butler: Butler, tables: ImageTables, chosen: Chosen, wanted: ImageFilter) -> ListedImages:
    """Return all images in the collections that are searched; of several datasets of one the first counts."""
    keys, runs = found_first(butler, tables, chosen, wanted)
    _, releases = runs_and_releases(butler, runs)
    conditions = list(wanted.conditions(tables))
    exposures = exposure_times(butler, tables, chosen, conditions)
    timed = exposures.have(keys // 10)
    times = np.zeros(len(keys), np.int64)
    times[timed] = exposures.middles_of(keys[timed] // 10)
    kept = timed if conditions else np.ones(len(keys), bool)
    return ListedImages(keys[kept], releases[kept], times[kept])


def found_first(
    butler: Butler, tables: ImageTables, chosen: Chosen, wanted: ImageFilter
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the keys of all images in the collections that are searched, and the runs of the first datasets."""
    numbers = Progress(__name__).wrap(wanted.collections, desc="Listing processings", skip_scalar=False)
    found = [_of_collection(butler, tables, chosen, wanted, number) for number in numbers]
    every, runs = (np.concatenate([np.zeros(0, np.int64), *(some[place] for some in found)]) for place in range(2))
    keys, first = np.unique(every, return_index=True)  # of equal keys, that of the first collection
    return keys, runs[first]


def _of_collection(
    butler: Butler, tables: ImageTables, chosen: Chosen, wanted: ImageFilter, number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the keys of a collection's images, and the numbers of their runs."""
    tags = tables.tags.columns
    joined, run = wanted.with_runs(tables, tables.tags)
    statement = (
        sqlalchemy.select(tags.detector, run, joined_column(tags.exposure))
        .select_from(joined)
        .where(
            tags.dataset_type_id == tables.dataset_type_id,
            tags.collection_id == number,
            *chosen.conditions(tags),
        )
        .group_by(tags.detector, run, period_of(tags.exposure))
    )
    keys, runs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for detector, of_run, exposures in selected_rows(butler, statement):
        keys.append(image_keys(integers(exposures), np.int64(detector)))
        runs.append(np.full(len(keys[-1]), of_run, np.int64))
    return np.concatenate(keys), np.concatenate(runs)

"""All images that collections hold, as arrays: millions in seconds."""

from __future__ import annotations

__all__ = ("ListedImages", "listed_images")

from dataclasses import dataclass

import numpy as np
import sqlalchemy
from lsst.daf.butler import Butler
from numpy.typing import NDArray

from ..repository.butler_internals import ImageTables, collection_names, selected_rows
from ..repository.runs import release_of_run
from .candidates import Chosen, exposure_times, period_of
from .joined_texts import integers, joined_column
from .registered import ImageFilter, image_keys


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
    found = [_of_collection(butler, tables, chosen, number) for number in wanted.collections]
    every = np.concatenate([np.zeros(0, np.int64), *found])
    origin = np.repeat(np.arange(len(found)), [len(some) for some in found])
    keys, first = np.unique(every, return_index=True)  # of equal keys, that of the first collection
    releases = np.array([*_releases(butler, wanted.collections), ""], np.str_)[origin[first]]
    conditions = list(wanted.conditions(tables))
    exposures = exposure_times(butler, tables, chosen, conditions)
    timed = exposures.have(keys // 10)
    times = np.zeros(len(keys), np.int64)
    times[timed] = exposures.middles_of(keys[timed] // 10)
    kept = timed if conditions else np.ones(len(keys), bool)
    return ListedImages(keys[kept], releases[kept], times[kept])


def _releases(butler: Butler, numbers: tuple[int, ...]) -> list[str]:
    names = collection_names(butler, numbers)
    return [release_of_run(names[number]) or "" for number in numbers]


def _of_collection(butler: Butler, tables: ImageTables, chosen: Chosen, number: int) -> NDArray[np.int64]:
    """Return the keys of a collection's images."""
    tags = tables.tags.columns
    statement = (
        sqlalchemy.select(tags.detector, joined_column(tags.exposure))
        .where(
            tags.dataset_type_id == tables.dataset_type_id,
            tags.collection_id == number,
            *chosen.conditions(tags),
        )
        .group_by(tags.detector, period_of(tags.exposure))
    )
    found = [
        image_keys(integers(exposures), np.int64(detector)) for detector, exposures in selected_rows(butler, statement)
    ]
    return np.concatenate([np.zeros(0, np.int64), *found])

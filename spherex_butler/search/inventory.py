"""How many images and exposures there are, by what users ask for; the database counts, and hands over sums.

Butler's own queries count what they are asked for one by one, each through all images.
"""

from __future__ import annotations

__all__ = ("ExposureCount", "ImageCount", "exposure_counts", "image_counts", "images_found_first")

from collections import Counter
from dataclasses import dataclass

import numpy as np
import sqlalchemy
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType
from lsst.daf.butler.time_utils import TimeConverter

from ..constants import INSTRUMENT
from ..repository.butler_internals import (
    ImageTables,
    collection_names,
    collection_numbers,
    selected_rows,
)
from .candidates import Chosen
from .listing import found_first
from .registered import ImageFilter, searched_collections


@dataclass(frozen=True, slots=True)
class ImageCount:
    """How many images of a detector a run holds of a planning period."""

    run: str
    planning_period: str
    detector: int
    images: int


@dataclass(frozen=True, slots=True)
class ExposureCount:
    """How many exposures of a planning period were planned for a survey; from when until when, if that is known."""

    planning_period: str
    survey: str | None
    exposures: int
    begin: Time | None
    end: Time | None


def image_counts(butler: Butler, tables: ImageTables) -> list[ImageCount]:
    """Return how many images there are, in order of runs, planning periods and detectors; each processing counts."""
    names = butler.collections.query("*", CollectionType.RUN)
    runs = collection_numbers(butler, names)
    tags, exposures = tables.tags.columns, tables.exposures.columns
    keys = (tags.collection_id, exposures.planning_period, tags.detector)
    same = (tags.instrument == exposures.instrument, tags.exposure == exposures.id)
    statement = (
        sqlalchemy.select(*keys, sqlalchemy.func.count())
        .select_from(tables.tags.join(tables.exposures, sqlalchemy.and_(*same)))
        .where(
            tags.dataset_type_id == tables.dataset_type_id,
            tags.instrument == INSTRUMENT,
            tags.collection_id.in_(runs),  # and not in collections that tag them
        )
        .group_by(*keys)
    )
    by_number = dict(zip(runs, names, strict=True))
    found = (ImageCount(by_number[number], *others) for number, *others in selected_rows(butler, statement))
    return sorted(found, key=lambda one: (one.run, one.planning_period, one.detector))


def exposure_counts(butler: Butler, tables: ImageTables) -> list[ExposureCount]:
    """Return how many exposures there are, in order of planning periods and surveys."""
    columns = tables.exposures.columns
    keys = (columns.planning_period, columns.science_program)
    begin, end = (sqlalchemy.func.nullif(bound, 0) for bound in (tables.begin, tables.end))
    statement = (
        sqlalchemy.select(
            *keys,
            sqlalchemy.func.count(),
            sqlalchemy.func.min(begin),
            sqlalchemy.func.max(end),
        )
        .where(columns.instrument == INSTRUMENT)
        .group_by(*keys)
    )
    rows = selected_rows(butler, statement)
    found = [
        ExposureCount(period, survey, number, _time(first), _time(last)) for period, survey, number, first, last in rows
    ]
    return sorted(found, key=lambda one: (one.planning_period, one.survey or ""))


def _time(nanoseconds: int | None) -> Time | None:
    return None if nanoseconds is None else TimeConverter().nsec_to_astropy(nanoseconds)


def images_found_first(butler: Butler, tables: ImageTables) -> Counter[str]:
    """Return of how many images each run has the dataset that is found, where a search looks by default.

    The others that these runs hold are superseded: there are newer processings of the same images.
    """
    searched = searched_collections(butler, None)
    _, runs = found_first(butler, tables, Chosen(), ImageFilter(searched.numbers, searched.all_runs))
    numbers, counts = (values.tolist() for values in np.unique(runs, return_counts=True))
    names = collection_names(butler, numbers)
    return Counter({names[number]: count for number, count in zip(numbers, counts, strict=True)})

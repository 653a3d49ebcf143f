"""The exposures in a repository, and the images there are of each, as a table."""

from __future__ import annotations

__all__ = ("observations",)

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeAlias

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table
from lsst.daf.butler import Butler, Timespan
from lsst.daf.butler.queries import Query
from lsst.daf.butler.queries.tree import Predicate

from ..arguments import detectors_given, require_number, require_text
from ..calibrations.ranges import UserTime, range_given
from ..constants import DATASET_TYPE, DEFAULT_COLLECTION, INSTRUMENT
from ..repository.failures import told_as_repository_failures
from ..repository.opened import require_universe
from ..repository.runs import release_of_run
from ..repository.times import known_times_of

_FIELDS = {"obs_id", "timespan", "exposure_time", "science_program", "target_name"}
_Row: TypeAlias = tuple[Any, ...]


@told_as_repository_failures()
def observations(
    butler: Butler,
    *,
    where: str = "",
    detectors: int | Iterable[int] | None = None,
    planning_period: str | None = None,
    survey: str | None = None,
    time: tuple[UserTime | None, UserTime | None] | None = None,
    collections: str | Iterable[str] | None = None,
    limit: int | None = None,
) -> Table:
    """Return the exposures in a repository of which it has images, as a table in order of time.

    Parameters
    ----------
    butler
        A SPHEREx repository.
    where
        A query expression that exposures and images have to satisfy, such as ``"exposure.exposure_time > 100"``.
    detectors
        Only images of these detectors, 1 to 6.
    planning_period
        Only exposures of this planning period: ``"2025W51_1A"``.
    survey
        Only exposures that were planned for this survey, as headers name it: ``"all_sky"``.
    time
        Only exposures that overlap with this time, from begin to end; `None` is open.
    collections
        Where to search; by default `SPHEREx/defaults`. Images in several processings are in several rows.
    limit
        Return at most this many rows, the first.

    Returns
    -------
    table
        A row for each exposure and run: ``obs_id``, ``exposure``, ``time`` (the middle of the exposure, UTC),
        ``exposure_time`` (s), ``planning_period``, ``survey``, ``target``, ``detectors`` (those of which there is
        an image in the run: ``"1,2,3,4,5,6"``), ``release`` and ``run``. What is not known is masked.

    Raises
    ------
    ParameterError
        Raised if a detector or a time makes no sense.
    ConfigurationError
        Raised if it is no SPHEREx repository.
    """
    require_universe(butler)
    if limit is not None:
        require_number("limit", limit, least=0)
    require_text("survey", survey, "all_sky")
    require_text("planning_period", planning_period, "2025W51_1A")
    numbers = detectors_given(detectors)
    timespan = range_given(time)
    searched = [DEFAULT_COLLECTION] if collections is None else collections
    with butler.query() as query:
        chosen = query.where(instrument=INSTRUMENT).join_dataset_search(DATASET_TYPE, searched)
        chosen = chosen.where(where) if where else chosen
        for condition in _conditions(query, numbers, planning_period, survey, timespan):
            chosen = chosen.where(condition)
        found = chosen.general(
            ["exposure", "detector"],
            dimension_fields={"exposure": _FIELDS},
            dataset_fields={DATASET_TYPE: {"run"}},
            find_first=False,
        )
        return _table(list(islice(_rows(found.order_by("exposure", "detector")), limit)))


def _conditions(
    query: Query,
    detectors: frozenset[int] | None,
    planning_period: str | None,
    survey: str | None,
    timespan: Timespan | None,
) -> Iterator[Predicate]:
    names = query.expression_factory
    if detectors is not None:
        yield names.detector.in_iterable(detectors)
    if planning_period is not None:
        yield names.planning_period == planning_period
    if survey is not None:
        yield names.exposure.science_program == survey
    if timespan is not None:
        yield names.exposure.timespan.overlaps(timespan)


def _rows(found: Iterable[dict[str, Any]]) -> Iterator[_Row]:
    """Yield a row for each exposure and run."""
    for exposure, images in groupby(found, key=itemgetter("exposure")):
        of_runs: dict[str, list[int]] = {}
        for image in images:
            of_runs.setdefault(image[f"{DATASET_TYPE}.run"], []).append(image["detector"])
        for run, detectors in sorted(of_runs.items()):
            yield (
                image["exposure.obs_id"],
                exposure,
                _middle(image["exposure.timespan"]),
                image["exposure.exposure_time"],
                image["planning_period"],
                image["exposure.science_program"],
                image["exposure.target_name"],
                ",".join(map(str, sorted(set(detectors)))),
                release_of_run(run),
                run,
            )


def _middle(timespan: Timespan | None) -> int:
    """Return the middle of an exposure in Butler's nanoseconds, TAI; 0 where it is not known."""
    return 0 if timespan is None else sum(timespan.nsec) // 2


def _table(rows: list[_Row]) -> Table:
    columns = list(zip(*rows, strict=True)) or [()] * 10
    obs_id, exposure, middle, exposure_time, *texts = columns
    table = Table()
    table["obs_id"] = np.array(obs_id, dtype=str)
    table["exposure"] = np.array(exposure, dtype=np.int64)
    table["time"] = known_times_of(middle)
    table["exposure_time"] = _masked(exposure_time, float, unit=u.s)
    names = ("planning_period", "survey", "target", "detectors", "release", "run")
    for name, values in zip(names, texts, strict=True):
        table[name] = _masked(values, str)
    return table


def _masked(values: Iterable[Any], kind: type, unit: u.UnitBase | None = None) -> MaskedColumn:
    found = list(values)
    mask = [value is None for value in found]
    return MaskedColumn([kind() if value is None else value for value in found], mask=mask, dtype=kind, unit=unit)

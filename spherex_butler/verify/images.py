"""Images and their records, read a planning period at a time so that memory is bounded."""

from __future__ import annotations

__all__ = ("Period", "check_period", "dataset_batches", "planning_periods", "read_period", "runs_by_type")

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType
from lsst.utils.iteration import chunk_iterable

from ..constants import INSTRUMENT
from ..repository.image_refs import images_between
from ..summaries import number_of
from .report import Findings, Kind

_BATCH = 10_000
_PAIR = ("exposure", "detector")


@dataclass(frozen=True, slots=True)
class Period:
    """The exposures of a planning period, as they are registered."""

    name: str
    times: Mapping[int, tuple[int, int] | None]
    """Begin and end of each exposure in TAI nanoseconds since 1970, as Butler has them; `None` without a timespan."""
    regions: frozenset[tuple[int, int]]
    """Exposure and detector of each region row with a region."""
    off_sky: frozenset[tuple[int, int]]
    """The same of region rows without."""


def planning_periods(butler: Butler) -> list[str]:
    """Return the names of all planning periods."""
    with butler.query() as query:
        periods = query.where(instrument=INSTRUMENT).data_ids(["planning_period"]).order_by("planning_period")
        return [str(data_id["planning_period"]) for data_id in periods]


def read_period(butler: Butler, name: str) -> Period:
    """Return the registered exposures of a planning period."""
    with butler.query() as query:
        ours = query.where(instrument=INSTRUMENT, planning_period=name)
        times = {
            record.id: None if record.timespan is None else record.timespan.nsec
            for record in ours.dimension_records("exposure")
        }
        null = query.expression_factory.exposure_detector_region.region.is_null
        rows = ours.where(images_between(query, times)).join_dimensions(_PAIR)
        off_sky, regions = (
            frozenset((int(row["exposure"]), int(row["detector"])) for row in rows.where(condition).data_ids(_PAIR))
            for condition in (null, query.expression_factory.not_(null))
        )
    return Period(name, times, regions, off_sky)


def dataset_batches(
    butler: Butler, dataset_type: DatasetType, runs: Iterable[str], period: Period | None = None
) -> Iterator[tuple[DatasetRef, ...]]:
    """Yield datasets of a type in runs, of one planning period if one is given; in batches."""
    with butler.query() as query:
        results = query.datasets(dataset_type, collections=list(runs), find_first=False)
        if period is not None:
            results = results.where(instrument=INSTRUMENT, planning_period=period.name)
            if {*_PAIR} <= {*dataset_type.dimensions.names}:
                results = results.where(images_between(query, period.times))
        yield from chunk_iterable(results, _BATCH)


def runs_by_type(butler: Butler) -> dict[str, list[str]]:
    """Return the runs that hold datasets of each type."""
    found: dict[str, list[str]] = {}
    for info in butler.collections.query_info("*", CollectionType.RUN, include_summary=True):
        for name in info.dataset_types or ():
            found.setdefault(name, []).append(info.name)
    return found


def check_period(period: Period, refs: Iterable[DatasetRef], found: Findings) -> None:
    """Look at the region rows and times of a planning period's images.

    All of them in one call, as a finding is made for each period.
    """
    images = {(int(ref.dataId["exposure"]), int(ref.dataId["detector"])) for ref in refs}
    missing = images - period.regions - period.off_sky
    timeless = {exposure for exposure, _ in images if period.times[exposure] is None}
    off_sky = images & period.off_sky
    if missing:
        message = f"{number_of(len(missing), 'image')} without region row, the first {_image(min(missing))}."
        found.add(Kind.REGION_MISSING, period.name, message, count=len(missing))
    if off_sky:
        message = f"{number_of(len(off_sky), 'image')} without region, the first {_image(min(off_sky))}."
        found.add(Kind.REGION_NULL, period.name, message, count=len(off_sky), problem=False)
    if timeless:
        exposures = number_of(len(timeless), "exposure")
        message = f"{exposures} without timespan, the first {min(timeless)}: their images find no calibrations."
        found.add(Kind.TIMESPAN_MISSING, period.name, message, count=len(timeless))


def _image(key: tuple[int, int]) -> str:
    return f"exposure {key[0]} detector {key[1]}"

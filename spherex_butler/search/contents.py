"""What a repository holds, in ten lines."""

from __future__ import annotations

__all__ = ("RepositorySummary", "summary")

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.daf.butler.queries import Query

from ..constants import DATASET_TYPE, DEFAULT_COLLECTION, DETECTORS, INSTRUMENT
from ..repository.opened import check_opened
from ..repository.runs import chain_members, release_of_run
from ..repository.times import format_time
from ..summaries import Summarized

_NO_SURVEY = "survey unknown"


@dataclass(frozen=True, slots=True, repr=False)
class RepositorySummary(Summarized):
    """What a repository holds, from `summary`.

    Parameters
    ----------
    root
        Where its files are.
    universe
        Its dimension universe and the version of that.
    exposures
        How many exposures are registered.
    begin, end
        When the first began and the last ended; `None` without exposures.
    planning_periods
        How many planning periods there are.
    surveys
        How many exposures were planned for each survey.
    images
        How many images each run holds.
    detectors
        How many images there are of each detector, in whatever processing.
    calibrations
        How many datasets there are of each calibration type.
    others
        How many there are of each other type.
    defaults
        What is searched by default, in this order.
    """

    root: str
    universe: str
    exposures: int
    begin: Time | None
    end: Time | None
    planning_periods: int
    surveys: Mapping[str, int]
    images: Mapping[str, int]
    detectors: Mapping[int, int]
    calibrations: Mapping[str, int]
    others: Mapping[str, int]
    defaults: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The numbers of exposures, images and calibrations, in words."""
        return (
            f"{self.exposures:,} exposures, {sum(self.images.values()):,} images, "
            f"{sum(self.calibrations.values()):,} calibrations"
        )

    def __str__(self) -> str:
        return "\n".join(f"{name:14}{text}" for name, text in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "repository", f"{self.root} (universe {self.universe})"
        yield "exposures", f"{self.exposures:,} in {self.planning_periods:,} planning periods"
        if self.begin is not None and self.end is not None:
            yield "from, to", f"{format_time(self.begin)[:19]}, {format_time(self.end)[:19]} UTC"
        yield "surveys", _counts(self.surveys)
        yield "images", f"{sum(self.images.values()):,} in {len(self.images):,} processings"
        yield "releases", _counts(self._releases())
        yield "detectors", _counts({f"D{number}": count for number, count in self.detectors.items()})
        yield "calibrations", _counts(self.calibrations)
        yield "others", _counts(self.others)
        yield "searched", ", ".join(self.defaults) or "nothing by default"

    def _releases(self) -> Counter[str]:
        """Return how many images there are of each release, and of runs that are of none."""
        found: Counter[str] = Counter()
        for run, count in self.images.items():
            found[release_of_run(run) or "of none"] += count
        return found


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def summary(butler: Butler) -> RepositorySummary:
    """Return what a repository holds, as its registry tells; no file is looked at.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository.
    """
    opened = check_opened(butler, writeable=False)
    types = {kind.name: kind for kind in butler.registry.queryDatasetTypes()}
    runs: dict[str, list[str]] = {}
    for info in butler.collections.query_info("*", CollectionType.RUN, include_summary=True):
        for name in info.dataset_types or ():
            runs.setdefault(name, []).append(info.name)
    counted = {name: _in_runs(butler, types[name], found) for name, found in sorted(runs.items()) if name in types}
    totals = {name: sum(found.values()) for name, found in counted.items()}
    images = counted.get(DATASET_TYPE, {})
    with butler.query() as query:
        ours = query.where(instrument=INSTRUMENT)
        exposures = ours.dimension_records("exposure")
        begin, end = (next(iter(exposures.order_by(f"{sign}exposure").limit(1)), None) for sign in ("", "-"))
        spans = [record.timespan for record in (begin, end) if record is not None]
        return RepositorySummary(
            root=opened.root.ospath if opened.root.isLocal else str(opened.root),
            universe=f"{butler.dimensions.namespace} {butler.dimensions.version}",
            exposures=exposures.count(),
            begin=spans[0].begin if spans and spans[0] is not None else None,
            end=spans[-1].end if spans and spans[-1] is not None else None,
            planning_periods=ours.data_ids(["planning_period"]).count(),
            surveys=_surveys(ours),
            images=images,
            detectors=_of_detectors(butler, list(images)),
            calibrations={name: count for name, count in totals.items() if types[name].isCalibration()},
            others={
                name: count
                for name, count in totals.items()
                if name != DATASET_TYPE and not types[name].isCalibration()
            },
            defaults=chain_members(butler, DEFAULT_COLLECTION),
        )


def _in_runs(butler: Butler, dataset_type: DatasetType, runs: list[str]) -> dict[str, int]:
    """Return how many datasets of a type each run holds, leaving out those that hold none."""
    with butler.query() as query:
        counts = {
            run: query.datasets(dataset_type, collections=[run], find_first=False).count() for run in sorted(runs)
        }
    return {run: count for run, count in counts.items() if count}


def _of_detectors(butler: Butler, runs: list[str]) -> dict[int, int]:
    if not runs:
        return {}
    with butler.query() as query:
        images = query.datasets(DATASET_TYPE, collections=runs, find_first=False)
        return {number: images.where(instrument=INSTRUMENT, detector=number).count() for number in DETECTORS}


def _surveys(query: Query) -> dict[str, int]:
    """Return how many exposures each survey has: Butler groups nothing, so one survey is looked for after the other."""
    survey = query.expression_factory.exposure.science_program
    found: dict[str, int] = {}
    while True:
        others = query.where(query.expression_factory.not_(survey.is_null))
        others = others.where(query.expression_factory.not_(survey.in_iterable(list(found)))) if found else others
        record: Any = next(iter(others.dimension_records("exposure").limit(1)), None)
        if record is None:
            break
        name = record.science_program
        found[name] = query.where(survey == name).dimension_records("exposure").count()
    unknown = query.where(survey.is_null).dimension_records("exposure").count()
    return found | ({_NO_SURVEY: unknown} if unknown else {})

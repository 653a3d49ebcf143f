"""What a repository holds, in ten lines."""

from __future__ import annotations

__all__ = ("RepositorySummary", "counted", "summarized", "summary")

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetType

from ..constants import DATASET_TYPE, DEFAULT_COLLECTION, DETECTORS, INSTRUMENT
from ..repository.butler_internals import image_tables
from ..repository.failures import told_as_repository_failures
from ..repository.opened import OpenedRepository, check_opened
from ..repository.runs import chain_members, release_of_run
from ..repository.times import format_time
from ..summaries import Summarized, number_of
from .inventory import ExposureCount, ImageCount, exposure_counts, image_counts

_NO_SURVEY = "survey unknown"

_Key = TypeVar("_Key")


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
            f"{number_of(self.exposures, 'exposure')}, {number_of(sum(self.images.values()), 'image')}, "
            f"{number_of(sum(self.calibrations.values()), 'calibration')}"
        )

    def __str__(self) -> str:
        return "\n".join(f"{name:14}{text}" for name, text in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "repository", f"{self.root} (universe {self.universe})"
        yield "exposures", f"{self.exposures:,} in {number_of(self.planning_periods, 'planning period')}"
        if self.begin is not None and self.end is not None:
            yield "from, to", f"{format_time(self.begin)[:19]}, {format_time(self.end)[:19]} UTC"
        yield "surveys", _counts(self.surveys)
        yield "images", f"{sum(self.images.values()):,} in {number_of(len(self.images), 'processing')}"
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


@told_as_repository_failures()
def summary(butler: Butler) -> RepositorySummary:
    """Return what a repository holds, as its registry tells; no file is looked at.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository.
    """
    opened = check_opened(butler, writeable=False)
    with butler.registry.caching_context():
        return summarized(opened, *counted(butler))


def summarized(
    opened: OpenedRepository, images: Iterable[ImageCount], exposures: Iterable[ExposureCount]
) -> RepositorySummary:
    """Return what a repository holds, whose images and exposures are counted."""
    butler, images, exposures = opened.butler, list(images), list(exposures)
    types = {kind.name: kind for kind in butler.registry.queryDatasetTypes()}
    runs: dict[str, list[str]] = {}
    for info in butler.collections.query_info("*", CollectionType.RUN, include_summary=True):
        for name in info.dataset_types or ():
            runs.setdefault(name, []).append(info.name)
    others = sorted(runs.keys() & types.keys() - {DATASET_TYPE})
    totals = {name: count for name in others if (count := _in_runs(butler, types[name], runs[name]))}
    with butler.query() as query:
        periods = query.where(instrument=INSTRUMENT).data_ids(["planning_period"]).count()
    return RepositorySummary(
        root=opened.root.ospath if opened.root.isLocal else str(opened.root),
        universe=f"{butler.dimensions.namespace} {butler.dimensions.version}",
        exposures=sum(one.exposures for one in exposures),
        begin=min((one.begin for one in exposures if one.begin is not None), default=None),
        end=max((one.end for one in exposures if one.end is not None), default=None),
        planning_periods=periods,
        surveys=_surveys(exposures),
        images=_summed((one.run, one.images) for one in images),
        detectors=_detectors(images),
        calibrations={name: count for name, count in totals.items() if types[name].isCalibration()},
        others={name: count for name, count in totals.items() if not types[name].isCalibration()},
        defaults=chain_members(butler, DEFAULT_COLLECTION),
    )


def counted(butler: Butler) -> tuple[list[ImageCount], list[ExposureCount]]:
    """Return the counts of images and exposures; none where images are not registered as a type."""
    if not any(kind.name == DATASET_TYPE for kind in butler.registry.queryDatasetTypes(DATASET_TYPE)):
        return [], []
    tables = image_tables(butler)
    return image_counts(butler, tables), exposure_counts(butler, tables)


def _in_runs(butler: Butler, dataset_type: DatasetType, runs: list[str]) -> int:
    """Return how many datasets of a type runs hold."""
    with butler.query() as query:
        return sum(query.datasets(dataset_type, collections=[run], find_first=False).count() for run in sorted(runs))


def _detectors(images: Iterable[ImageCount]) -> dict[int, int]:
    found = _summed((one.detector, one.images) for one in images)
    return {number: found.get(number, 0) for number in DETECTORS} if found else {}


def _surveys(exposures: Iterable[ExposureCount]) -> dict[str, int]:
    """Return how many exposures each survey has, and those of none last."""
    known = sorted((one.survey, one.exposures) for one in exposures if one.survey is not None)
    return _summed([*known, *((_NO_SURVEY, one.exposures) for one in exposures if one.survey is None)])


def _summed(counts: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    found: Counter[_Key] = Counter()
    for key, count in counts:
        found[key] += count
    return dict(found)

"""Whether images find calibrations, and whether validity ranges make sense: looked up for many images at once."""

from __future__ import annotations

__all__ = ("CalibrationCheck",)

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, groupby, pairwise
from operator import itemgetter

import numpy as np
from lsst.daf.butler import Butler, DatasetRef, DatasetType, Timespan
from lsst.daf.butler.time_utils import TimeConverter
from numpy.typing import NDArray

from ..calibrations.queries import calibration_types, candidates, certifications, search_path
from ..calibrations.ranges import Certification, format_time, range_text
from ..calibrations.runs import image_release_of, published_runs
from ..configuration.dataset_types import definitions
from ..constants import CALIBRATION_COLLECTION, DETECTORS
from .chains import run_releases
from .images import Period
from .report import Findings, Kind, counted

_Key = tuple[str, int]
"""Dataset type and detector, 0 where one calibration is for all."""

_Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Validity:
    """When calibrations of one type and detector are valid, in nanoseconds.

    Parameters
    ----------
    ranges
        Collection and range, in the order in which the collections are searched and then by time.
    begins, ends
        The times in which there is any, without overlaps.
    searched
        Where the ranges of each collection begin and end, in order, and the number of its first.
    releases
        Those whose calibrations these are; `None` where that is not known.
    elsewhere
        The detectors that there are datasets of, where there are none of this one.
    """

    ranges: tuple[tuple[str, Certification], ...]
    begins: _Times
    ends: _Times
    searched: tuple[tuple[_Times, _Times, int], ...]
    releases: frozenset[str] | None
    elsewhere: tuple[int, ...] = ()

    def stretches(self, begin: _Times, end: _Times) -> _Times:
        """Return for each exposure -1 if it finds a calibration, else how many of the times are before it."""
        following = np.searchsorted(self.ends, begin, side="right")
        starts = np.append(self.begins, np.iinfo(np.int64).max)
        return np.where(starts[following] < end, -1, following)

    def ambiguous(self, begin: _Times, end: _Times) -> _Times:
        """Return for each exposure the number of the last range that it finds, -1 if it finds no more than one.

        Only the first collection with any counts, as Butler's look-up goes no further.  There it gives nothing
        where two ranges are valid during the exposure, also if both are of one dataset.
        """
        last = np.full(len(begin), -1)
        undecided = np.ones(len(begin), dtype=bool)
        for begins, ends, number in self.searched:
            following = np.searchsorted(begins, end, side="left")
            count = following - np.searchsorted(ends, begin, side="right")
            last = np.where(undecided & (count > 1), number + following - 1, last)
            undecided &= count == 0
        return last


@dataclass(slots=True)
class _Stretch:
    """Images that have something in common."""

    count: int = 0
    begin: int = np.iinfo(np.int64).max
    end: int = np.iinfo(np.int64).min
    first: int = 0

    def add(self, exposures: _Times, begin: _Times, end: _Times) -> None:
        self.count += len(exposures)
        earliest = int(begin.argmin())
        if begin[earliest] < self.begin:
            self.begin, self.first = int(begin[earliest]), int(exposures[earliest])
        self.end = max(self.end, int(end.max()))

    def __str__(self) -> str:
        return f"{counted(self.count, 'image')} {_times(self.begin, self.end)}, the first of exposure {self.first}"


class CalibrationCheck:
    """The check of calibrations, batch by batch.

    Expected are the types that the repository has datasets of: one for all
    detectors, or one for each that the archive has such products of.  Where
    these are known to be of some releases, an image of another that has none
    is only noted.

    Parameters
    ----------
    butler
        The repository.
    found
        Where findings go.
    """

    def __init__(self, butler: Butler, found: Findings) -> None:
        self._found = found
        self._releases = run_releases(butler)
        types = calibration_types(butler)
        known = [kind for kind in types if {*kind.dimensions.required} <= {"instrument", "detector"}]
        self._others = sorted(kind.name for kind in types if kind not in known)
        self._validities = _read_validities(butler, known)
        self._absent = sorted({kind.name for kind in known} - {name for name, _ in self._validities})
        self._uncalibrated: dict[tuple[_Key, int, bool], _Stretch] = defaultdict(_Stretch)
        self._cut: dict[tuple[_Key, int], _Stretch] = defaultdict(_Stretch)

    def check(self, period: Period, refs: Iterable[DatasetRef]) -> None:
        """Look up the calibrations of images of a planning period."""
        groups: dict[tuple[int, frozenset[str]], list[tuple[int, int, int]]] = defaultdict(list)
        none: set[str] = set()
        for ref in refs:
            exposure = int(ref.dataId["exposure"])
            if (times := period.times[exposure]) is not None:
                releases = frozenset(self._releases.get(ref.run, none))
                groups[int(ref.dataId["detector"]), releases].append((exposure, *times))
        for (detector, releases), rows in groups.items():
            exposures, begin, end = np.array(rows, dtype=np.int64).T
            for key, validity in self._validities.items():
                if key[1] in {0, detector}:
                    self._look_up(key, validity, releases, (exposures, begin, end))

    def _look_up(
        self, key: _Key, validity: _Validity, releases: frozenset[str], images: tuple[_Times, _Times, _Times]
    ) -> None:
        _, begin, end = images
        expected = validity.releases is None or not releases or not releases.isdisjoint(validity.releases)
        for number, selected in _by_value(validity.stretches(begin, end), images):
            self._uncalibrated[key, number, expected].add(*selected)
        for number, selected in _by_value(validity.ambiguous(begin, end), images):
            self._cut[key, number].add(*selected)

    def finish(self) -> None:
        """Report what was found, and what is wrong with the ranges themselves."""
        for key, validity in self._validities.items():
            _check_ranges(key, validity, self._found)
        for (key, number, expected), stretch in sorted(self._uncalibrated.items(), key=lambda item: item[0]):
            self._report_uncalibrated(key, number, stretch, expected=expected)
        for (key, number), stretch in sorted(self._cut.items(), key=lambda item: item[0]):
            message = f"{_pair(self._validities[key], number)} valid in the exposure of {stretch}."
            self._found.add(Kind.RANGE_BOUND, _text(key), message, count=stretch.count)
        if self._absent:
            message = "there are no datasets of these types; they are not missed."
            self._found.add(Kind.TYPE_ABSENT, ", ".join(self._absent), message, problem=False)
        if self._others:
            message = "of other dimensions than instrument and detector; their calibrations were not looked up."
            self._found.add(Kind.NOT_CHECKED, ", ".join(self._others), message, problem=False)

    def _report_uncalibrated(self, key: _Key, number: int, stretch: _Stretch, *, expected: bool) -> None:
        validity = self._validities[key]
        reason = _reason(validity, number)
        if not expected:
            reason += f"; there are some of {', '.join(sorted(validity.releases or ()))} only"
        self._found.add(Kind.NO_CALIBRATION, _text(key), f"{stretch}: {reason}.", count=stretch.count, problem=expected)


def _read_validities(butler: Butler, types: Iterable[DatasetType]) -> dict[_Key, _Validity]:
    kinds = list(types)
    runs: dict[_Key, set[str]] = defaultdict(set)
    for ref in (ref for kind in kinds for ref in candidates(butler, kind)):
        runs[_key(ref)].add(ref.run)
    ranges: dict[_Key, list[tuple[str, Certification]]] = defaultdict(list)
    path = search_path(butler) or [CALIBRATION_COLLECTION]
    for collection in path:
        for certified in certifications(butler, [kind.name for kind in kinds], collection=collection):
            ranges[_key(certified.ref)].append((collection, certified))
    releases = _releases_by_run(butler)
    found = {
        key: _validity(ranges[key], _common_releases(key[0], runs[key], releases))
        for key in sorted({*runs, *list(ranges)})
    }
    return {**found, **_missing_detectors(found, runs, releases)}


def _missing_detectors(
    there: Iterable[_Key], runs: Mapping[_Key, set[str]], releases: Mapping[str, set[str]]
) -> dict[_Key, _Validity]:
    """Return what is valid for the detectors that a type has no dataset of, though it has of others: nothing."""
    detectors: dict[str, list[int]] = defaultdict(list)
    for name, detector in there:
        if detector:
            detectors[name].append(detector)
    return {
        (name, detector): replace(_validity([], _common_releases(name, others, releases)), elsewhere=tuple(known))
        for name, known in detectors.items()
        for others in [{run for one in known for run in runs.get((name, one), ())}]
        for detector in _detectors(name)
        if detector not in known
    }


def _detectors(dataset_type: str) -> Iterable[int]:
    """Return the detectors that calibrations of a type are expected of."""
    definition = definitions().get(dataset_type)
    return DETECTORS if definition is None or definition.detectors is None else definition.detectors


def _releases_by_run(butler: Butler) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for release, runs in published_runs(butler).items():
        for run in runs:
            found[run].add(release)
    return found


def _common_releases(dataset_type: str, runs: Iterable[str], releases: Mapping[str, set[str]]) -> frozenset[str] | None:
    """Return the releases whose images a type's calibrations are for, `None` where that is not known of all."""
    known = [releases.get(run) for run in runs]
    found: set[str] = set()
    for one in known:
        if not one:
            return None
        found |= {image_release_of(dataset_type, release) for release in one}
    return frozenset(found) if found else None


def _validity(ranges: list[tuple[str, Certification]], releases: frozenset[str] | None) -> _Validity:
    spans = sorted(certified.timespan.nsec for _, certified in ranges)
    merged: list[list[int]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    begins, ends = np.array(merged, dtype=np.int64).reshape(-1, 2).T
    return _Validity(tuple(ranges), begins, ends, tuple(_by_collection(ranges)), releases)


def _by_collection(ranges: list[tuple[str, Certification]]) -> Iterator[tuple[_Times, _Times, int]]:
    number = 0
    for _, members in groupby(ranges, key=itemgetter(0)):
        spans = [certified.timespan.nsec for _, certified in members]
        begins, ends = np.sort(np.array(spans, dtype=np.int64), axis=0).T
        yield begins, ends, number
        number += len(spans)


def _check_ranges(key: _Key, validity: _Validity, found: Findings) -> None:
    for (collection, one), (other_collection, other) in combinations(validity.ranges, 2):
        if not one.timespan.overlaps(other.timespan):
            continue
        if collection == other_collection:
            message = f"{_certified(one)} and {_certified(other)} overlap in {collection}."
            found.add(Kind.RANGE_OVERLAP, _text(key), message)
        elif one.ref.id != other.ref.id:
            message = f"{_certified(one)} in {collection} hides {_certified(other)} in {other_collection}."
            found.add(Kind.RANGE_OVERLAP, _text(key), message, problem=False)
    merged = zip(validity.begins.tolist(), validity.ends.tolist(), strict=True)
    for (_, end), (begin, _) in pairwise(merged):
        found.add(Kind.RANGE_GAP, _text(key), f"nothing is valid {_times(end, begin)}.", problem=False)


def _by_value(
    values: _Times, images: tuple[_Times, _Times, _Times]
) -> Iterator[tuple[int, tuple[_Times, _Times, _Times]]]:
    """Yield each value that is not negative, and the images that have it."""
    for value in np.unique(values[values >= 0]):
        chosen = values == value
        exposures, begin, end = (column[chosen] for column in images)
        yield int(value), (exposures, begin, end)


def _pair(validity: _Validity, number: int) -> str:
    (collection, one), (_, other) = validity.ranges[number - 1], validity.ranges[number]
    what = "ranges of one calibration" if one.ref.id == other.ref.id else "calibrations"
    return f"two {what} in {collection}, {_certified(one)} and {_certified(other)}, are"


def _reason(validity: _Validity, number: int) -> str:
    if validity.elsewhere:
        return f"there is no dataset of it, but of {', '.join(f'D{one}' for one in validity.elsewhere)}"
    if not validity.ranges:
        return "no validity range is certified"
    if number == 0:
        return f"the first validity range begins {_time(int(validity.begins[0]))}"
    if number == len(validity.ends):
        return f"the last validity range ends {_time(int(validity.ends[-1]))}"
    return f"nothing is valid {_times(int(validity.ends[number - 1]), int(validity.begins[number]))}"


def _key(ref: DatasetRef) -> _Key:
    return ref.datasetType.name, int(ref.dataId.get("detector") or 0)


def _text(key: _Key) -> str:
    return f"{key[0]} D{key[1]}" if key[1] else key[0]


def _certified(found: Certification) -> str:
    return f"{found.token} ({range_text(found.timespan)})"


def _time(nanoseconds: int) -> str:
    return f"{format_time(TimeConverter().nsec_to_astropy(nanoseconds))} UTC"


def _times(begin: int, end: int) -> str:
    return range_text(Timespan(None, None, _nsec=(begin, end)))

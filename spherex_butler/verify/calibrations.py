"""Check of calibrations: whether images find theirs, looked up for many at once, and whether ranges make sense."""

from __future__ import annotations

__all__ = ("CalibrationCheck",)

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, groupby, pairwise
from operator import attrgetter, itemgetter

import numpy as np
from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.daf.butler.time_utils import TimeConverter
from numpy.typing import NDArray

from ..calibrations.queries import calibration_types, candidates, certifications, search_path
from ..calibrations.ranges import Certification, range_text
from ..calibrations.runs import image_release_of, published_runs
from ..configuration.dataset_types import definitions
from ..constants import CALIBRATION_COLLECTION, DETECTORS
from ..repository.times import format_time
from ..summaries import number_of
from .chains import run_releases
from .images import Period
from .report import Findings, Kind

_Key = tuple[str, int]
"""Dataset type and detector, 0 where one calibration is for all."""

_Group = tuple[Kind, str, str, bool]
"""What is found, the dataset type, what is said, and whether it is a problem."""

_Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Validity:
    """When calibrations of one type and detector are valid, in nanoseconds."""

    ranges: tuple[Certification, ...]
    """In the order in which their collections are searched and then by time."""
    begins: _Times
    ends: _Times
    """The times at which any calibration is valid, without overlaps."""
    searched: tuple[tuple[_Times, _Times, int], ...]
    """Where the ranges of each collection begin and end, in order, and the number of its first range."""
    releases: frozenset[str] | None
    """The releases for whose images these calibrations are; `None` where that is not known."""
    elsewhere: tuple[int, ...]
    """The detectors that there are datasets for, where there is none for this one."""

    def find(self, begin: _Times, end: _Times) -> tuple[_Times, _Times]:
        """Return how many ranges each exposure finds, and the number of the last of them.

        Only the first collection with any counts, as Butler's look-up goes no further.  There it gives nothing
        where two ranges are valid during the exposure, also if both are of one dataset.
        """
        count, last = np.zeros_like(begin), np.zeros_like(begin)
        for begins, ends, number in self.searched:
            following = np.searchsorted(begins, end, side="left")
            here = np.where(count == 0, following - np.searchsorted(ends, begin, side="right"), 0)
            last = np.where(here > 0, number + following - 1, last)
            count = count + here
        return count, last

    def gaps(self, begin: _Times) -> _Times:
        """Return how many of the times of validity end before each exposure."""
        return np.searchsorted(self.ends, begin, side="right")


@dataclass(slots=True)
class _Stretch:
    """Images with the same finding: how many, and from when to when."""

    count: int = 0
    begin: int = np.iinfo(np.int64).max
    end: int = np.iinfo(np.int64).min
    first: int = 0

    def add(self, exposures: _Times, begin: _Times, end: _Times) -> None:
        earliest = int(begin.argmin())
        self.join(_Stretch(len(exposures), int(begin[earliest]), int(end.max()), int(exposures[earliest])))

    def join(self, other: _Stretch) -> None:
        """Add the images of another one."""
        if other.begin < self.begin:
            self.begin, self.first = other.begin, other.first
        self.end = max(self.end, other.end)
        self.count += other.count

    def __str__(self) -> str:
        return f"{number_of(self.count, 'image')} {_times(self.begin, self.end)}, the first of exposure {self.first}"


class CalibrationCheck:
    """A check of calibrations that is given images batch by batch.

    An image is expected to find a calibration of each type that the repository
    has datasets of: one for all detectors, or one for each detector that the
    archive has such products for.  Where all datasets of a type are known to be
    of other releases than the image, its missing calibration is only noted.
    """

    def __init__(self, butler: Butler, found: Findings) -> None:
        self._found = found
        self._releases = run_releases(butler)
        types = calibration_types(butler)
        known = [kind for kind in types if {*kind.dimensions.required} <= {"instrument", "detector"}]
        self._others = sorted({kind.name for kind in types} - {kind.name for kind in known})
        self._validities = _read_validities(butler, known)
        self._absent = sorted({kind.name for kind in known} - {name for name, _ in self._validities})
        self._uncalibrated: dict[tuple[_Key, int, bool], _Stretch] = defaultdict(_Stretch)
        self._ambiguous: dict[tuple[_Key, int], _Stretch] = defaultdict(_Stretch)

    def check(self, period: Period, refs: Iterable[DatasetRef]) -> None:
        """Look up the calibrations of images of a planning period."""
        groups: dict[tuple[int, frozenset[str]], list[tuple[int, int, int]]] = defaultdict(list)
        for ref in refs:
            exposure = int(ref.dataId["exposure"])
            if (times := period.times[exposure]) is not None:
                releases = frozenset(self._releases.get(ref.run, ()))
                groups[int(ref.dataId["detector"]), releases].append((exposure, *times))
        for (detector, releases), rows in groups.items():
            images = np.array(rows, dtype=np.int64).T
            lacking = np.zeros(len(rows), dtype=np.bool_)
            for key, validity in self._validities.items():
                if key[1] in {0, detector}:
                    lacking |= self._look_up(key, validity, releases, images)
            self._found.uncalibrated += int(lacking.sum())

    def _look_up(self, key: _Key, validity: _Validity, releases: frozenset[str], images: _Times) -> NDArray[np.bool_]:
        """Note which images find no calibration, or two; return for which of them that is a problem."""
        _, begin, end = images
        expected = validity.releases is None or not releases or not releases.isdisjoint(validity.releases)
        count, last = validity.find(begin, end)
        for gap, selected in _by_value(validity.gaps(begin), count == 0, images):
            self._uncalibrated[key, gap, expected].add(*selected)
        for number, selected in _by_value(last, count > 1, images):
            self._ambiguous[key, number].add(*selected)
        lacking: NDArray[np.bool_] = (count > 1) | ((count == 0) & expected)
        return lacking

    def finish(self) -> None:
        """Report what was found, and what is wrong with the ranges themselves; what is alike of all detectors, once."""
        for (kind, name, message, problem), detectors in _alike(self._validities).items():
            self._found.add(kind, _text(name, detectors), message, problem=problem)
        for (kind, name, reason, problem), (detectors, stretch) in self._grouped().items():
            message = f"{stretch}: {reason}."
            self._found.add(kind, _text(name, detectors), message, count=stretch.count, problem=problem)
        if self._absent and not self._validities:
            message = "the repository has none from the archive, so images are not expected to have any."
            self._found.add(Kind.TYPE_ABSENT, "all types", message, problem=False)
        elif self._absent:
            message = "there are no datasets of these types, so images are not expected to have any."
            self._found.add(Kind.TYPE_ABSENT, ", ".join(self._absent), message, problem=False)
        if self._others:
            message = "have other dimensions than instrument and detector; such calibrations are not looked up."
            self._found.add(Kind.NOT_CHECKED, ", ".join(self._others), message, problem=False)

    def _grouped(self) -> dict[_Group, tuple[list[int], _Stretch]]:
        """Return the detectors of each type for which the same is said of images, and those images."""
        groups: dict[_Group, tuple[list[int], _Stretch]] = defaultdict(lambda: ([], _Stretch()))
        for (key, gap, expected), stretch in sorted(self._uncalibrated.items(), key=itemgetter(0)):
            reason = _reason(self._validities[key], gap)
            if not expected:
                reason += f"; there are some of {', '.join(sorted(self._validities[key].releases or ()))} only"
            _join(groups[Kind.NO_CALIBRATION, key[0], reason, expected], key[1], stretch)
        for (key, number), stretch in sorted(self._ambiguous.items(), key=itemgetter(0)):
            reason = f"{_pair(self._validities[key], number)} valid in the exposure"
            _join(groups[Kind.RANGE_BOUND, key[0], reason, True], key[1], stretch)
        return groups


def _join(group: tuple[list[int], _Stretch], detector: int, stretch: _Stretch) -> None:
    group[0].append(detector)
    group[1].join(stretch)


def _alike(validities: Mapping[_Key, _Validity]) -> dict[_Group, list[int]]:
    """Return the detectors of each type for which the same is said of ranges."""
    groups: dict[_Group, list[int]] = defaultdict(list)
    for (name, detector), validity in validities.items():
        for kind, message, problem in _check_ranges(validity):
            groups[kind, name, message, problem].append(detector)
    return groups


def _read_validities(butler: Butler, types: Iterable[DatasetType]) -> dict[_Key, _Validity]:
    kinds = list(types)
    runs: dict[_Key, set[str]] = defaultdict(set)
    for ref in (ref for kind in kinds for ref in candidates(butler, kind)):
        runs[_key(ref)].add(ref.run)
    ranges: dict[_Key, list[Certification]] = defaultdict(list)
    for collection in search_path(butler) or [CALIBRATION_COLLECTION]:
        for certified in certifications(butler, [kind.name for kind in kinds], collection=collection):
            ranges[_key(certified.ref)].append(certified)
    published = published_runs(butler)
    found = {}
    for name in sorted({name for name, _ in (*runs, *ranges)}):
        known = {detector for kind, detector in (*runs, *ranges) if kind == name}
        for detector in sorted(known | (_expected_detectors(name) if any(known) else set())):
            alike = {detector} & known or known
            releases = _releases(name, {run for one in alike for run in runs.get((name, one), ())}, published)
            elsewhere = () if detector in known else tuple(sorted(known))
            found[name, detector] = _validity(ranges.get((name, detector), []), releases, elsewhere)
    return found


def _expected_detectors(dataset_type: str) -> set[int]:
    """Return the detectors that calibrations of a type are expected for."""
    definition = definitions().get(dataset_type)
    return set(DETECTORS if definition is None or definition.detectors is None else definition.detectors)


def _releases(dataset_type: str, runs: Iterable[str], published: Mapping[str, set[str]]) -> frozenset[str] | None:
    """Return the releases for whose images the calibrations in runs are, `None` where that is not known of all."""
    sources = [{release for release, members in published.items() if run in members} for run in runs]
    if not sources or not all(sources):
        return None
    return frozenset(image_release_of(dataset_type, release) for release in set().union(*sources))


def _validity(ranges: list[Certification], releases: frozenset[str] | None, elsewhere: tuple[int, ...]) -> _Validity:
    merged: list[list[int]] = []
    for begin, end in sorted(certified.timespan.nsec for certified in ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    begins, ends = np.array(merged, dtype=np.int64).reshape(-1, 2).T
    return _Validity(tuple(ranges), begins, ends, tuple(_by_collection(ranges)), releases, elsewhere)


def _by_collection(ranges: list[Certification]) -> Iterator[tuple[_Times, _Times, int]]:
    number = 0
    for _, members in groupby(ranges, key=attrgetter("collection")):
        spans = [certified.timespan.nsec for certified in members]
        begins, ends = np.sort(np.array(spans, dtype=np.int64), axis=0).T
        yield begins, ends, number
        number += len(spans)


def _check_ranges(validity: _Validity) -> Iterator[tuple[Kind, str, bool]]:
    """Yield what is to be said of the ranges of a type and detector, and whether it is a problem."""
    for one, other in combinations(validity.ranges, 2):
        if not one.timespan.overlaps(other.timespan):
            continue
        if one.collection == other.collection:
            message = f"{_certified(one)} and {_certified(other)} overlap in {one.collection}."
            yield Kind.RANGE_OVERLAP, message, True
        elif one.ref.id != other.ref.id:
            message = f"{_certified(one)} in {one.collection} hides {_certified(other)} in {other.collection}."
            yield Kind.RANGE_OVERLAP, message, False
    merged = zip(validity.begins.tolist(), validity.ends.tolist(), strict=True)
    for (_, end), (begin, _) in pairwise(merged):
        yield Kind.RANGE_GAP, f"nothing is valid {_times(end, begin)}.", False


def _by_value(values: _Times, chosen: NDArray[np.bool_], images: _Times) -> Iterator[tuple[int, _Times]]:
    """Yield each value that occurs among the chosen images, and the images that have it."""
    for value in np.unique(values[chosen]):
        yield int(value), images[:, chosen & (values == value)]


def _pair(validity: _Validity, number: int) -> str:
    one, other = validity.ranges[number - 1], validity.ranges[number]
    what = "ranges of one calibration" if one.ref.id == other.ref.id else "calibrations"
    return f"two {what} in {one.collection}, {_certified(one)} and {_certified(other)}, are"


def _reason(validity: _Validity, gap: int) -> str:
    if validity.elsewhere:
        return f"there are datasets for {', '.join(f'D{one}' for one in validity.elsewhere)} only"
    if not validity.ranges:
        return "no validity range is certified"
    if gap == 0:
        return f"the first validity range begins {_time(int(validity.begins[0]))}"
    if gap == len(validity.ends):
        return f"the last validity range ends {_time(int(validity.ends[-1]))}"
    return f"nothing is valid {_times(int(validity.ends[gap - 1]), int(validity.begins[gap]))}"


def _key(ref: DatasetRef) -> _Key:
    return ref.datasetType.name, int(ref.dataId.get("detector") or 0)


def _text(name: str, detectors: Iterable[int]) -> str:
    return f"{name} {', '.join(f'D{detector}' for detector in detectors if detector)}".rstrip()


def _certified(found: Certification) -> str:
    return f"{found.token} ({range_text(found.timespan)})"


def _time(nanoseconds: int) -> str:
    return f"{_to_the_second(nanoseconds)} UTC"


def _times(begin: int, end: int) -> str:
    return f"from {_to_the_second(begin)} until {_to_the_second(end)} UTC"


def _to_the_second(nanoseconds: int) -> str:
    return format_time(TimeConverter().nsec_to_astropy(nanoseconds))[: len("2025-12-18T05:09:34")]

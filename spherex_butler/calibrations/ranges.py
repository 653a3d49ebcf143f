"""Validity ranges of calibrations: how users give and read times, and which rule a range follows."""

from __future__ import annotations

__all__ = (
    "ALWAYS",
    "Certification",
    "Rule",
    "UserTime",
    "as_time",
    "bounds_of",
    "data_id_text",
    "is_covered",
    "range_between",
    "range_given",
    "range_text",
    "release_ranges",
    "token_of",
    "token_rank",
)

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from astropy.time import ScaleValueError, Time
from lsst.daf.butler import DatasetRef, Timespan
from lsst.daf.butler.time_utils import TimeConverter

from ..errors import FormatError, ParameterError
from ..names import RUN_PREFIX, ProcessingToken
from ..repository.json_values import json_value
from ..repository.runs import release_spans
from ..repository.times import format_time

ALWAYS = Timespan(None, None)
"""Validity without bounds."""

UserTime: TypeAlias = str | dt.datetime | Time
"""What users give for a time: UTC as ISO 8601 text or a `~datetime.datetime`, or an astropy Time."""


class Rule(StrEnum):
    """How a validity range is decided."""

    LATEST = "latest"
    """The newest token that has a file for the detector, always."""
    RELEASE = "release"
    """The newest of a release's tokens that has a file for the detector, while the release's observations were made."""
    EXPLICIT = "explicit"
    """Begin and end as somebody gave them."""


RuleName: TypeAlias = Literal["latest", "release", "explicit"]
"""A rule by its name, as good as the member of `Rule`."""


@dataclass(frozen=True, slots=True)
class Certification:
    """A calibration and when it is valid.

    Parameters
    ----------
    ref
        The dataset.
    timespan
        When it is valid; TAI, as in Butler.
    collection
        Where that is recorded; empty for a range that is only planned. It is not compared.
    """

    ref: DatasetRef
    timespan: Timespan
    collection: str = field(default="", compare=False)

    @property
    def token(self) -> str:
        """The processing token, or the run of a dataset that is not from the archive."""
        return token_of(self.ref.run)

    @property
    def rule(self) -> Rule:
        """The rule that gives such a range; Butler records ranges without a rule."""
        if self.timespan == ALWAYS:
            return Rule.LATEST
        return Rule.RELEASE if self.timespan in release_ranges().values() else Rule.EXPLICIT

    @property
    def key(self) -> tuple[object, ...]:
        """Dataset type and data ID: ranges of one key may not overlap in a collection."""
        return self.ref.datasetType.name, *self.ref.dataId.required_values

    @property
    def label(self) -> str:
        """Dataset type and detector: ``dark D3``."""
        return f"{self.ref.datasetType.name} {data_id_text(self.ref)}"

    @property
    def description(self) -> str:
        """Token, range and rule in words."""
        return f"{self.token}, valid {range_text(self.timespan)} ({self.rule})"

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration and its range as what JSON can hold."""
        found: dict[str, Any] = json_value(self.ref) | {
            "token": self.token,
            "rule": str(self.rule),
            **json_value(self.timespan),
            "collection": self.collection,
        }
        return found

    def __str__(self) -> str:
        return f"{self.label} {self.token}, valid {range_text(self.timespan)}"


def token_of(run: str) -> str:
    """Return the processing token of a run of the archive's products, and any other run as it is."""
    return run.removeprefix(RUN_PREFIX)


def token_rank(run: str) -> tuple[int, int, int, bool] | None:
    """Return a sort key for calibrations of one type, `None` for a run that is not named by a token.

    Version, year and day decide, and not the process: ``cal-wcs`` became ``cal-swcs``.
    """
    try:
        return ProcessingToken.parse(token_of(run)).rank
    except FormatError:
        return None


def data_id_text(ref: DatasetRef) -> str:
    """Return for which detector a calibration is: ``D3``, or ``all detectors``."""
    values = dict(ref.dataId.required)
    values.pop("instrument", None)
    detector = f"D{values.pop('detector')}" if "detector" in values else "all detectors"
    return " ".join([detector, *(f"{name}={value}" for name, value in values.items())])


def as_time(value: UserTime) -> Time:
    """Return a time in TAI; text or a `~datetime.datetime` without a zone is UTC."""
    try:
        time = value if isinstance(value, Time) else Time(value, scale="utc")
        scalar, tai = time.isscalar, time.tai
    except (ScaleValueError, TypeError, ValueError) as error:
        raise ParameterError(
            f"{value!r} is not a time; expected UTC such as '2026-07-20T00:00:00', or an astropy Time."
        ) from error
    if not scalar:
        raise ParameterError(f"{value!r} is {time.size} times; expected one.")
    converter = TimeConverter()
    if not converter.epoch < tai < converter.max_time:
        raise ParameterError(
            f"{value!r} is not between {converter.epoch.isot} and {converter.max_time.isot}, the times that Butler "
            "holds; leave a bound out where it is to be open."
        )
    return tai


def range_between(begin: UserTime | None, end: UserTime | None) -> Timespan:
    """Return the range from ``begin`` until just before ``end``; `None` is open."""
    first, last = (None if value is None else as_time(value) for value in (begin, end))
    timespan = Timespan(first, last, padInstantaneous=False)
    if timespan.isEmpty():
        raise ParameterError(f"The range from {begin!s} to {end!s} is empty; expected a begin before the end.")
    return timespan


def range_given(time: Any) -> Timespan | None:
    """Return the range that a user gives as begin and end; `None` stands for all times, and is returned.

    Raises
    ------
    ParameterError
        Raised if it is no such pair, or is empty.
    """
    if time is None:
        return None
    try:
        pair = () if isinstance(time, str | bytes) else tuple(time)
    except TypeError:
        pair = ()
    if len(pair) != 2:
        raise ParameterError(
            f"time={time!r} is no range; expected its begin and its end, such as ('2025-12-18', '2025-12-19'), of "
            "which None is open."
        )
    return range_between(*pair)


def range_text(timespan: Timespan) -> str:
    """Return a validity range in words, UTC."""
    bounds = (("from", timespan.begin), ("until", timespan.end))
    words = [f"{word} {format_time(time)}" for word, time in bounds if time is not None]
    return " ".join([*words, "UTC"]) if words else "always"


@cache
def release_ranges() -> Mapping[str, Timespan]:
    """Return the span of each release that has a time of its own."""
    return MappingProxyType({release: range_between(*span) for release, span in release_spans().items()})


def bounds_of(timespans: Iterable[Timespan]) -> set[Time]:
    """Return the times at which ranges begin and end; an open range has no such bound."""
    return {bound for timespan in timespans for bound in (timespan.begin, timespan.end) if bound is not None}


def is_covered(timespan: Timespan, by: Iterable[Timespan]) -> bool:
    """Return whether every instant of a range is in one of the others."""
    left = [timespan]
    for other in by:
        left = [part for span in left for part in span.difference(other)]
    return not left

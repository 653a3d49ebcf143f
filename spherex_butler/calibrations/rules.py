"""Which calibration a rule chooses for which time: requests as users make them, and the datasets that answer."""

from __future__ import annotations

__all__ = ("Request", "UserTime", "choose", "in_detectors", "requested")

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias
from uuid import UUID

from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DataCoordinate, DatasetRef, DatasetType, Timespan

from ..errors import ParameterError
from ..names import RUN_PREFIX
from ..repository.runs import chain_of
from .certifications import candidates
from .ranges import ALWAYS, Certification, Rule, range_between, release_ranges, token_of
from .runs import calibration_runs_of, sources_of

UserTime: TypeAlias = str | dt.datetime | Time
"""What users give for a time."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be certified.

    Parameters
    ----------
    rule
        By which rule.
    ranges
        Validity ranges, by release where the rule is that of releases, else by `None`.
    runs
        Where the calibrations are looked for; `None` for where the rule does.
    detectors
        Which detectors; `None` for all, and for calibrations that are for all at once.
    deciding
        Ids of the datasets that may take the place of others' ranges, as far as the rule has it; the others are
        certified only where no range is in the way. `None` for all.
    """

    rule: Rule
    ranges: Mapping[str | None, Timespan] = field(default_factory=lambda: {None: ALWAYS})
    runs: tuple[str, ...] | None = None
    detectors: frozenset[int] | None = None
    deciding: frozenset[UUID] | None = None

    def ranges_of(self, dataset_type: str) -> Mapping[str | None, Timespan]:
        """Return the validity ranges for a type: of all releases those for whose images it is, but one as asked for."""
        if len(self.ranges) == 1:
            return self.ranges
        return {key: span for key, span in self.ranges.items() if key is None or sources_of(dataset_type, key)}

    def decides(self, ref: DatasetRef) -> bool:
        """Say whether a dataset may take the place of others' ranges."""
        return self.deciding is None or ref.id in self.deciding


def requested(
    butler: Butler,
    *,
    rule: str | None,
    release: str | None,
    begin: UserTime | None,
    end: UserTime | None,
    token: str | Iterable[str] | None,
    detectors: int | Iterable[int] | None,
) -> Request:
    """Return what a user asks for.

    Raises
    ------
    ParameterError
        Raised if the parts do not go together, or one of them does not exist.
    """
    given = _rule(rule, release, begin, end)
    ranges: dict[str | None, Timespan] = {None: ALWAYS}
    if given is Rule.RELEASE:
        ranges = _release_ranges(release)
    elif given is Rule.EXPLICIT:
        ranges = {None: range_between(begin, end)}
    return Request(given, ranges, _runs(butler, token), _detectors(detectors))


def choose(butler: Butler, dataset_type: DatasetType, request: Request) -> list[Certification]:
    """Return the newest calibration for each detector and range, none where there is no candidate."""
    found = [
        (candidates(butler, dataset_type, _candidate_runs(butler, dataset_type.name, request, release)), timespan)
        for release, timespan in request.ranges_of(dataset_type.name).items()
    ]
    return [
        Certification(ref, timespan)
        for refs, timespan in found
        for ref in _newest(refs).values()
        if in_detectors(ref, request.detectors)
    ]


def in_detectors(ref: DatasetRef, detectors: frozenset[int] | None) -> bool:
    """Say whether a calibration is one of those for these detectors; `None` is all."""
    return detectors is None or ref.dataId.get("detector") in detectors


def _newest(refs: Iterable[DatasetRef]) -> dict[DataCoordinate, DatasetRef]:
    newest: dict[DataCoordinate, DatasetRef] = {}
    for ref in refs:
        newest.setdefault(ref.dataId, ref)
    return newest


def _candidate_runs(butler: Butler, dataset_type: str, request: Request, release: str | None) -> list[str] | None:
    if request.runs is not None:
        return list(request.runs)
    if release is None:
        return None
    there = butler.collections.query(f"{RUN_PREFIX}*", collection_types=CollectionType.RUN)
    published = (calibration_runs_of(butler, source) for source in sources_of(dataset_type, release))
    return sorted({*chain.from_iterable(published)} & set(there))


def _rule(rule: str | None, release: str | None, begin: object, end: object) -> Rule:
    bounded = begin is not None or end is not None
    implied = Rule.EXPLICIT if bounded else Rule.LATEST if release is None else Rule.RELEASE
    try:
        given = implied if rule is None else Rule(rule)
    except ValueError as error:
        raise ParameterError(f"There is no rule {rule!r}; expected one of {[str(known) for known in Rule]}.") from error
    if bounded and release is not None:
        raise ParameterError(f"Give begin and end, or release={release!r}, which has its own; not both.")
    if given is not implied and (given, implied) != (Rule.RELEASE, Rule.LATEST):
        raise ParameterError(
            f"The rule {str(given)!r} does not go with what else is given, which is for {str(implied)!r}: 'explicit' "
            "takes begin, end or both, 'release' a release or none for all, 'latest' nothing."
        )
    return given


def _release_ranges(release: str | None) -> dict[str | None, Timespan]:
    known = release_ranges()
    if release is not None:
        chain_of(release)  # refuses what is none
        if release not in known:
            raise ParameterError(
                f"The release {release!r} has no time of its own: later ones hold its observations. Give begin and "
                f"end; {list(known)} have one."
            )
    return {key: timespan for key, timespan in known.items() if release in {None, key}}


def _runs(butler: Butler, token: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if token is None:
        return None
    tokens = [token] if isinstance(token, str) else list(token)
    there = set(butler.collections.query("*", collection_types=CollectionType.RUN))
    runs = [run if (run := RUN_PREFIX + given) in there else given for given in tokens]
    unknown = [run for run in runs if run not in there]
    if unknown:
        calibrations = sorted(token_of(run) for run in there if not run.startswith(f"{RUN_PREFIX}l2b"))
        raise ParameterError(
            f"{unknown} are neither tokens nor runs of this repository; besides images it has {calibrations}."
        )
    return tuple(runs)


def _detectors(detectors: int | Iterable[int] | None) -> frozenset[int] | None:
    if detectors is None:
        return None
    given = frozenset([detectors]) if isinstance(detectors, int) else frozenset(detectors)
    if not given:
        raise ParameterError("detectors is empty; leave it out for all.")
    return given

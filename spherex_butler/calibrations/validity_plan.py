"""What a certification or a decertification changes: decided from plain values, without a repository."""

from __future__ import annotations

__all__ = ("Registered", "Request", "plan_certification", "plan_decertification")

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, Timespan

from ..arguments import detectors_given
from ..errors import ParameterError
from ..repository.runs import chain_of
from .ranges import (
    Certification,
    Rule,
    RuleName,
    UserTime,
    data_id_text,
    is_covered,
    range_between,
    release_ranges,
    token_of,
    token_rank,
)
from .reports import CertificationReport, DecertificationReport
from .runs import sources_of

_SHOWN = 5  # conflicts in a message: the first ones tell


class Request:
    """What a user asks for.

    Ranges are by release where the rule is that of releases, else by `None`. Ranges certified otherwise that are in
    the way are trimmed, split or removed with ``replace``, and left with a note with ``keep``; else it is an error.
    Where the types were ``named`` one by one, each must have an answer. Only the datasets whose ids are ``deciding``,
    `None` for all, may displace others' ranges, as far as the rule allows it; the others are certified only where no
    range is in the way.
    """

    def __init__(
        self,
        *,
        rule: Rule | RuleName | None = None,
        release: str | None = None,
        begin: UserTime | None = None,
        end: UserTime | None = None,
        runs: Sequence[str] | None = None,
        detectors: int | Iterable[int] | None = None,
        replace: bool = False,
        keep: bool = False,
        named: bool = True,
        deciding: Collection[UUID] | None = None,
    ) -> None:
        if replace and keep:
            raise ParameterError("What is in the way cannot both be replaced and kept; give replace=True or keep=True.")
        self.rule = _rule(rule, release, bounded=begin is not None or end is not None)
        self.ranges: Mapping[str | None, Timespan] = {None: range_between(begin, end)}
        if self.rule is Rule.RELEASE:
            self.ranges = _ranges_of_releases(release)
        self.runs = runs
        self.detectors = _detectors(detectors)
        self.replace, self.keep = replace, keep
        self.named = named
        self.deciding = deciding

    def ranges_of(self, dataset_type: str) -> Mapping[str | None, Timespan]:
        """Return the ranges asked for of a type: of several releases only those for whose images it is made."""
        if len(self.ranges) == 1:
            return self.ranges
        return {key: span for key, span in self.ranges.items() if key is None or sources_of(dataset_type, key)}

    def covers(self, ref: DatasetRef) -> bool:
        """Return whether a dataset is of one of the detectors."""
        return self.detectors is None or ref.dataId.get("detector") in self.detectors


@dataclass(frozen=True, slots=True)
class Registered:
    """What a repository has: datasets by type, newest first, their ranges, and for the rule of releases their runs."""

    candidates: Mapping[DatasetType, Sequence[DatasetRef]]
    certified: Sequence[Certification]
    published: Mapping[str, Collection[str]]


def _rule(rule: Rule | RuleName | None, release: str | None, *, bounded: bool) -> Rule:
    implied = Rule.EXPLICIT if bounded else Rule.LATEST if release is None else Rule.RELEASE
    try:
        given = implied if rule is None else Rule(rule)
    except ValueError as error:
        raise ParameterError(f"There is no rule {rule!r}; expected one of {', '.join(Rule)}.") from error
    if bounded and release is not None:
        raise ParameterError(f"Give begin=… and end=…, or release={release!r}, which has its own; not both.")
    if given is not implied and (given, implied) != (Rule.RELEASE, Rule.LATEST):
        raise ParameterError(
            f"The rule {str(given)!r} does not go with the other choices, which are for {str(implied)!r}: 'explicit' "
            "takes begin, end or both, 'release' a release or none for all, 'latest' nothing."
        )
    return given


def _ranges_of_releases(release: str | None) -> dict[str | None, Timespan]:
    known = release_ranges()
    if release is not None:
        chain_of(release)  # refuses unknown releases
        if release not in known:
            raise ParameterError(
                f"The release {release!r} has no time of its own: later ones hold its observations. Give begin=… and "
                f"end=…; {', '.join(known)} have one."
            )
    return {key: timespan for key, timespan in known.items() if release in {None, key}}


def _detectors(detectors: int | Iterable[int] | None) -> frozenset[int] | None:
    given = detectors_given(detectors)
    if given is not None and not given:
        raise ParameterError("detectors is empty; leave it out for all.")
    return given


def plan_certification(registered: Registered, request: Request) -> CertificationReport:
    """Return what a certification changes; raise an error if that is nothing, or ranges are in the way."""
    report = CertificationReport()
    wanted: list[Certification] = []
    for kind, candidates in registered.candidates.items():
        chosen = _choose(kind, candidates, registered.published, request)
        report.notes += _missing(kind, candidates, chosen, request)
        wanted += chosen
    if not wanted:
        raise ParameterError(" ".join(["There is nothing to certify.", *report.notes]))
    _resolve(wanted, registered.certified, request, report)
    return report


def plan_decertification(certified: Iterable[Certification], request: Request) -> DecertificationReport:
    """Return what a decertification changes, of the ranges of the types that are meant."""
    report = DecertificationReport()
    (timespan,) = request.ranges.values()
    for found in certified:
        meant = request.covers(found.ref) and (request.runs is None or found.ref.run in request.runs)
        if meant and found.timespan.overlaps(timespan):
            report.removed.append(Certification(found.ref, found.timespan.intersection(timespan)))
            report.kept += [Certification(found.ref, part) for part in found.timespan.difference(timespan)]
    return report


def _choose(
    kind: DatasetType, candidates: Iterable[DatasetRef], published: Mapping[str, Collection[str]], request: Request
) -> list[Certification]:
    """Return the newest candidate for each detector and range."""
    chosen = []
    for release, timespan in request.ranges_of(kind.name).items():
        runs = None
        if release is not None and request.runs is None:
            runs = {run for source in sources_of(kind.name, release) for run in published[source]}
        newest: dict[DataCoordinate, DatasetRef] = {}
        for ref in candidates:
            if request.covers(ref) and (runs is None or ref.run in runs):
                newest.setdefault(ref.dataId, ref)
        chosen += [Certification(ref, timespan) for ref in newest.values()]
    return chosen


def _missing(
    kind: DatasetType, candidates: Sequence[DatasetRef], chosen: Sequence[Certification], request: Request
) -> list[str]:
    """Return a note on each range for which there is no calibration; it is an error where the type was named."""
    tokens = sorted({token_of(ref.run) for ref in candidates})
    lacking = sorted((request.detectors or frozenset()) - {ref.dataId.get("detector") for ref in candidates})
    if request.named and lacking:
        raise ParameterError(_lacking(kind, lacking, tokens))
    notes = []
    for release, timespan in request.ranges_of(kind.name).items():
        there = {new.ref.dataId for new in chosen if new.timespan == timespan}
        absent = {data_id_text(ref) for ref in candidates if request.covers(ref) and ref.dataId not in there}
        if absent:
            notes.append(
                f"{kind.name} {', '.join(sorted(absent))}: no token of {release} is known; certify one of "
                f"{', '.join(tokens)} by token=…, with release={release!r}."
            )
    if request.named and not chosen:
        raise ParameterError(" ".join(notes) or _lacking(kind, [], tokens))
    return notes


def _lacking(kind: DatasetType, detectors: Sequence[int], tokens: Sequence[str]) -> str:
    if detectors and "detector" not in kind.dimensions:
        return f"One {kind.name} is for all detectors; leave out detectors {', '.join(map(str, detectors))}."
    of = f" of detector {', '.join(map(str, detectors))}" if detectors else ""
    found = f"it has the tokens {', '.join(tokens)}" if tokens else "it has none at all"
    return f"The repository has no {kind.name}{of}: {found}; ingest what is missing first."


def _resolve(
    wanted: Iterable[Certification], certified: Iterable[Certification], request: Request, report: CertificationReport
) -> None:
    """Fill in the report; raise an error if ranges are in the way and the request does not say what to do then."""
    existing: dict[tuple[object, ...], list[Certification]] = defaultdict(list)
    for old in certified:
        existing[old.key].append(old)
    conflicts: list[str] = []
    for new in wanted:
        overlapping = [old for old in existing[new.key] if old.timespan.overlaps(new.timespan)]
        in_the_way = _conflicts(new, overlapping, request)
        same = [old for old in overlapping if old.ref.id == new.ref.id]
        if is_covered(new.timespan, [old.timespan for old in same]):
            known = Certification(new.ref, _joined([old.timespan for old in same]))
            report.unchanged += [known] if known not in report.unchanged else []
        elif overlapping and request.deciding is not None and new.ref.id not in request.deciding:
            report.notes.append(_left(new, overlapping))
        elif in_the_way:
            conflicts += in_the_way
        else:
            report.certified.append(new)
            report.replaced += [old for old in overlapping if old not in report.replaced]
    if conflicts and not request.keep:
        more = f"; and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
        raise ParameterError(
            f"Certified otherwise already: {'; '.join(conflicts[:_SHOWN])}{more}. Nothing was changed; replace=True "
            "trims, splits or removes what is in the way, keep=True leaves it and certifies the others."
        )
    report.notes += conflicts


def _joined(spans: Sequence[Timespan]) -> Timespan:
    """Return one range in place of several that meet."""
    first, last = min(spans, key=lambda span: span.nsec[0]), max(spans, key=lambda span: span.nsec[1])
    return Timespan(first.begin, last.end)


def _conflicts(new: Certification, overlapping: Iterable[Certification], request: Request) -> list[str]:
    """Return which ranges may not be displaced by a new one, in words."""
    if request.replace:
        return []
    others = [old for old in overlapping if not _supersedes(new, request.rule, old)]
    return [f"{new}, would take the place of {old.description}" for old in others]


def _supersedes(new: Certification, rule: Rule, old: Certification) -> bool:
    """Return whether a range is one that the same rule gave to an older token, which is replaced automatically."""
    ranks = token_rank(old.ref.run), token_rank(new.ref.run)
    if rule is Rule.EXPLICIT or new.timespan != old.timespan or ranks[0] is None or ranks[1] is None:
        return False
    return ranks[0] < ranks[1]


def _left(new: Certification, known: Iterable[Certification]) -> str:
    stays = ", ".join(old.description for old in known)
    return (
        f"{new}: the dataset was there before, and what was certified for {new.label} meanwhile is left as it is: "
        f"{stays}. 'butler spherex certify' changes that."
    )

"""What a certification or a decertification will do, and what keeps it from being done."""

from __future__ import annotations

__all__ = ("Overlaps", "plan_certification", "plan_removal")

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

from astropy.time import Time
from lsst.daf.butler import Butler, DatasetRef, DatasetType, Timespan

from ..errors import ParameterError
from .boundaries import require_between_exposures
from .certifications import candidates, certifications
from .ranges import Certification, data_id_text, range_text, resolve_overlaps, token_of
from .reports import CertificationReport, DecertificationReport
from .rules import Request, choose, in_detectors

_SHOWN = 5  # conflicts in a message: the first ones tell

_Existing = Mapping[tuple[object, ...], Sequence[Certification]]


class Overlaps(Enum):
    """What to do where ranges certified otherwise are in the way."""

    REFUSE = auto()
    """Nothing at all, with an error."""
    KEEP = auto()
    """Leave them, with a note, and certify the others."""
    REPLACE = auto()
    """Trim, split or remove them."""


def plan_certification(
    butler: Butler, types: Sequence[DatasetType], request: Request, collection: str, overlaps: Overlaps, *, named: bool
) -> tuple[CertificationReport, list[Certification]]:
    """Return what a certification does, and the parts of ranges to be removed for it.

    Parameters
    ----------
    butler
        The repository.
    types
        Calibration types.
    request
        What was asked for.
    collection
        The calibration collection.
    overlaps
        What to do where other ranges are in the way.
    named
        Whether the types were named one by one, so that each must have an answer.

    Raises
    ------
    ParameterError
        Raised if there is nothing to certify, ranges are in the way, or a bound lies inside an exposure.
    """
    report = CertificationReport()
    wanted: list[Certification] = []
    for kind in types:
        chosen = choose(butler, kind, request)
        report.notes += _missing(butler, kind, request, chosen, named=named)
        wanted += chosen
    if not wanted:
        raise ParameterError(" ".join(["There is nothing to certify.", *report.notes]))
    displaced = _resolve(wanted, _existing(butler, types, collection), report, request, overlaps)
    require_between_exposures(butler, _bounds(new.timespan for new in report.certified))
    return report, displaced


def plan_removal(
    butler: Butler, types: Sequence[DatasetType], request: Request, timespan: Timespan, collection: str
) -> DecertificationReport:
    """Return what a decertification does.

    Parameters
    ----------
    butler
        The repository.
    types
        Calibration types.
    request
        Which runs and detectors.
    timespan
        When they shall not be valid.
    collection
        The calibration collection.

    Raises
    ------
    ParameterError
        Raised if a range would be cut inside an exposure.
    """
    report = DecertificationReport()
    cuts: set[Time] = set()
    for found in certifications(butler, [kind.name for kind in types], collection=collection):
        if not (found.timespan.overlaps(timespan) and _is_meant(found.ref, request)):
            continue
        report.removed.append(Certification(found.ref, found.timespan.intersection(timespan)))
        report.kept += [Certification(found.ref, part) for part in found.timespan.difference(timespan)]
        inside = {bound for bound in _bounds([timespan]) if found.timespan.contains(bound)}
        cuts |= inside - set(_bounds([found.timespan]))
    require_between_exposures(butler, cuts)
    return report


def _is_meant(ref: DatasetRef, request: Request) -> bool:
    return in_detectors(ref, request.detectors) and (request.runs is None or ref.run in request.runs)


def _missing(
    butler: Butler, kind: DatasetType, request: Request, chosen: Sequence[Certification], *, named: bool
) -> list[str]:
    """Return what to say of what is asked for and not there.

    Raises
    ------
    ParameterError
        Raised if it was asked for by name.
    """
    known = candidates(butler, kind, request.runs)
    tokens = sorted({token_of(ref.run) for ref in known})
    lacking = sorted((request.detectors or frozenset()) - {ref.dataId.get("detector") for ref in known})
    if named and lacking:
        raise ParameterError(_lacking(kind, lacking, tokens))
    notes = []
    for release, timespan in request.ranges_of(kind.name).items():
        there = {new.ref.dataId for new in chosen if new.timespan == timespan}
        absent = {data_id_text(r) for r in known if in_detectors(r, request.detectors) and r.dataId not in there}
        if absent:
            notes.append(
                f"{kind.name} {', '.join(sorted(absent))}: no token of {release} is known; give one of {tokens} as "
                f"token, with release={release!r}."
            )
    if named and not chosen:
        raise ParameterError(" ".join(notes) or _lacking(kind, [], tokens))
    return notes


def _lacking(kind: DatasetType, detectors: Sequence[int], tokens: Sequence[str]) -> str:
    if "detector" not in kind.dimensions:
        return f"One {kind.name} is for all detectors; leave out detectors {detectors}."
    of = f" of detectors {detectors}" if detectors else ""
    found = f"it has the tokens {tokens}" if tokens else "it has none at all"
    return f"The repository has no {kind.name}{of}: {found}; ingest what is missing first."


def _resolve(
    wanted: Sequence[Certification],
    existing: _Existing,
    report: CertificationReport,
    request: Request,
    overlaps: Overlaps,
) -> list[Certification]:
    """Fill in the report and return the parts of ranges that are displaced.

    Raises
    ------
    ParameterError
        Raised if there are some that may not be.
    """
    displaced: list[Certification] = []
    conflicts: list[str] = []
    for new in wanted:
        old, others = resolve_overlaps(new, request.rule, existing.get(_key(new), ()))
        if old is None:
            report.unchanged.append(new)
        elif old and not request.decides(new.ref):
            report.notes.append(_left(new, old))
        elif others and overlaps is not Overlaps.REPLACE:
            conflicts += [_conflict(new, other) for other in others]
        else:
            report.certified.append(new)
            report.replaced += [other for other in old if other not in report.replaced]
            displaced += [Certification(other.ref, other.timespan.intersection(new.timespan)) for other in old]
    if conflicts and overlaps is Overlaps.REFUSE:
        more = f"; and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
        raise ParameterError(
            f"Certified otherwise already: {'; '.join(conflicts[:_SHOWN])}{more}. Nothing was changed; replace trims, "
            "splits or removes what is in the way, keep leaves it and certifies the others."
        )
    report.notes += conflicts
    return displaced


def _conflict(new: Certification, old: Certification) -> str:
    return f"{new}, would take the place of {old.token}, valid {range_text(old.timespan)} ({old.rule})"


def _left(new: Certification, known: Iterable[Certification]) -> str:
    what = f"{new.ref.datasetType.name} {data_id_text(new.ref)}"
    stays = ", ".join(f"{old.token}, valid {range_text(old.timespan)} ({old.rule})" for old in known)
    return (
        f"{new}: it was there before, and what was certified for {what} meanwhile is left as it is: {stays}. "
        "'butler spherex certify' changes that."
    )


def _existing(butler: Butler, types: Sequence[DatasetType], collection: str) -> _Existing:
    existing: dict[tuple[object, ...], list[Certification]] = defaultdict(list)
    for found in certifications(butler, [kind.name for kind in types], collection=collection):
        existing[_key(found)].append(found)
    return existing


def _key(found: Certification) -> tuple[object, ...]:
    return found.ref.datasetType.name, *found.ref.dataId.required_values


def _bounds(timespans: Iterable[Timespan]) -> list[Time]:
    return [bound for timespan in timespans for bound in (timespan.begin, timespan.end) if bound is not None]

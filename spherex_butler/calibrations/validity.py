"""When calibrations are valid: `certify` and `decertify`, each done completely or not at all."""

from __future__ import annotations

__all__ = ("certify", "certify_ingested", "decertify")

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType, Timespan

from ..constants import CALIBRATION_COLLECTION
from ..repository.contention import in_transaction, retry
from ..repository.failures import told_as_repository_failures
from .queries import (
    calibration_collection_exists,
    calibration_types,
    candidates,
    certifications,
    require_between_exposures,
    runs_of_tokens,
)
from .ranges import Certification, Rule, RuleName, UserTime
from .reports import CertificationReport, DecertificationReport
from .runs import published_runs
from .validity_plan import Registered, Request, plan_certification, plan_decertification

_Report = TypeVar("_Report", CertificationReport, DecertificationReport)


@told_as_repository_failures(writes=True)
def certify(
    butler: Butler,
    dataset_type: str | Iterable[str] | None = None,
    *,
    rule: Rule | RuleName | None = None,
    release: str | None = None,
    begin: UserTime | None = None,
    end: UserTime | None = None,
    token: str | Iterable[str] | None = None,
    detectors: int | Iterable[int] | None = None,
    collection: str = CALIBRATION_COLLECTION,
    replace: bool = False,
    keep: bool = False,
    dry_run: bool = False,
) -> CertificationReport:
    """Say when calibrations are valid, completely or not at all.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    dataset_type
        One or more calibration types, by default all.
    rule
        ``"latest"``: the newest token that has a file for the detector, always; the default.
        ``"release"``: the newest of a release's tokens that has one, while the release's observations
        were made; the default where a release is given. ``"explicit"``: the newest token, from ``begin`` to
        ``end``; the default where one of these is given.
    release
        A release, such as ``"qr2"``; by default, for that rule, each one.
    begin, end
        Bounds of the validity, the end exclusive: UTC as ISO 8601 text, a `~datetime.datetime`, or an astropy
        Time; `None` is open.
    token
        One or more processing tokens, or other runs, that alone are looked at.
    detectors
        One or more, by default all.
    collection
        The calibration collection, made if it does not exist.
    replace
        Whether ranges that are in the way are trimmed, split or removed.
    keep
        Whether they are left alone, with a note, and the others certified; else it is an error.
    dry_run
        Whether only to say what would be done.

    Returns
    -------
    report
        What was done. A calibration that is valid in the whole range already is left as it is.

    Raises
    ------
    ParameterError
        Raised if there is no such calibration, the choices do not go together, other ranges are in the way, or a
        bound lies inside an exposure.
    ConfigurationError
        Raised if the repository is read-only, the collection of another type, or others were writing.
    """
    types = calibration_types(butler, dataset_type)
    request = Request(
        rule=rule,
        release=release,
        begin=begin,
        end=end,
        runs=runs_of_tokens(butler, token),
        detectors=detectors,
        replace=replace,
        keep=keep,
        named=dataset_type is not None,
    )
    return _certify(butler, types, request, collection, dry_run=dry_run)


def certify_ingested(
    butler: Butler, dataset_type: str, refs: Iterable[DatasetRef], *, rule: Rule | RuleName, new: Collection[UUID]
) -> CertificationReport:
    """Certify calibrations of a type that were just ingested; ranges certified otherwise are kept.

    Only for the detectors of ``refs`` anything is certified. Only the ``new`` datasets, by id, may displace an older
    token's range by the same rule: somebody may have decided otherwise since about what is there. The others are
    certified where the detector has no range at all, by the rule of releases none in a release's time: so an ingest
    leaves it that was killed before it certified, one of another release that has the same files, and a
    decertification.
    """
    types = calibration_types(butler, dataset_type)
    detectors = {int(ref.dataId["detector"]) for ref in refs if "detector" in ref.dataId}
    request = Request(rule=rule, detectors=detectors or None, keep=True, deciding=new)
    return _certify(butler, types, request, CALIBRATION_COLLECTION)


@told_as_repository_failures(writes=True)
def decertify(
    butler: Butler,
    dataset_type: str | Iterable[str],
    *,
    begin: UserTime | None = None,
    end: UserTime | None = None,
    token: str | Iterable[str] | None = None,
    detectors: int | Iterable[int] | None = None,
    collection: str = CALIBRATION_COLLECTION,
    dry_run: bool = False,
) -> DecertificationReport:
    """Say that calibrations are not valid, in a range or at all; the datasets stay.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    dataset_type
        One or more calibration types.
    begin, end
        As for `certify`; a range across one of them is trimmed or split.
    token
        One or more processing tokens, or other runs, that alone are decertified.
    detectors
        One or more, by default all.
    collection
        The calibration collection.
    dry_run
        Whether only to say what would be done.

    Returns
    -------
    report
        The ranges that were removed; none if none was certified.

    Raises
    ------
    ParameterError
        Raised if there is no such type or token, or a range would be cut inside an exposure.
    ConfigurationError
        Raised if the repository is read-only, the collection of another type, or others were writing.
    """
    types = calibration_types(butler, dataset_type)
    request = Request(begin=begin, end=end, runs=runs_of_tokens(butler, token), detectors=detectors)

    def plan() -> DecertificationReport:
        certified = certifications(butler, [kind.name for kind in types], collection=collection)
        return plan_decertification(certified, request)

    nothing = not calibration_collection_exists(butler, collection)
    return _carry_out(butler, types, plan, collection, dry_run=dry_run or nothing)


def _certify(
    butler: Butler, types: Sequence[DatasetType], request: Request, collection: str, *, dry_run: bool = False
) -> CertificationReport:
    def plan() -> CertificationReport:
        found = {kind: candidates(butler, kind, request.runs) for kind in types}
        certified = certifications(butler, [kind.name for kind in types], collection=collection)
        published = published_runs(butler) if request.rule is Rule.RELEASE else {}
        return plan_certification(Registered(found, certified, published), request)

    if not (dry_run or calibration_collection_exists(butler, collection)) and butler.isWriteable():
        retry(lambda: butler.collections.register(collection, CollectionType.CALIBRATION))
    return _carry_out(butler, types, plan, collection, dry_run=dry_run)


def _carry_out(
    butler: Butler,
    types: Sequence[DatasetType],
    make_plan: Callable[[], _Report],
    collection: str,
    *,
    dry_run: bool,
) -> _Report:
    """Plan from what is there, and make the changes in the same transaction; return the report."""

    def checked_plan() -> _Report:
        report = make_plan()
        require_between_exposures(butler, report.bounds)
        return report

    def change() -> _Report:
        _lock(butler, types, collection)
        report = checked_plan()
        _execute(butler, report, collection)
        return report

    return checked_plan() if dry_run else in_transaction(butler, change)


def _execute(butler: Butler, report: CertificationReport | DecertificationReport, collection: str) -> None:
    if isinstance(report, CertificationReport):
        ended, begun = report.displaced, report.certified
    else:
        ended, begun = report.removed, []
    for timespan, parts in _by_timespan(ended).items():
        for kind in {part.ref.datasetType for part in parts}:
            data_ids = [part.ref.dataId for part in parts if part.ref.datasetType == kind]
            butler.registry.decertify(collection, kind, timespan, dataIds=data_ids)
    for timespan, ranges in _by_timespan(begun).items():
        butler.registry.certify(collection, [new.ref for new in ranges], timespan)


def _lock(butler: Butler, types: Sequence[DatasetType], collection: str) -> None:
    """Keep others from certifying until the end of the transaction, so that what is read stays true.

    Butler's decertify locks the table of the type's dimensions, also for an empty range, of which nothing is removed.
    It fails for a type that was never certified there, of which nothing can be removed that was read before.
    """
    known = butler.collections.get_info(collection, include_summary=True).dataset_types or ()
    tables = {kind.dimensions: kind for kind in sorted(types) if kind.name in known}
    for kind in tables.values():
        butler.registry.decertify(collection, kind, Timespan.makeEmpty())


def _by_timespan(ranges: Iterable[Certification]) -> dict[Timespan, list[Certification]]:
    groups: dict[Timespan, list[Certification]] = defaultdict(list)
    for found in ranges:
        groups[found.timespan].append(found)
    return groups

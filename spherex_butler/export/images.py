"""A set of images, the calibrations valid for them and all dimension records, into another repository."""

from __future__ import annotations

__all__ = ("ExportReport", "export_images")

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from lsst.daf.butler import Butler, ButlerUserError, CollectionType, DatasetRef, Timespan
from lsst.daf.butler.progress import Progress
from numpy.typing import NDArray

from ..calibrations.queries import certifications, search_path
from ..calibrations.ranges import Certification, data_id_text, range_text
from ..constants import DATASET_TYPE, DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ParameterError, reason_of
from ..files.failures import FailedFile
from ..repository.arrivals import INGEST_ERRORS
from ..repository.contention import patiently
from ..repository.image_refs import images_between
from ..repository.runs import chain_members, put_in_order
from .transfer import Transfer, dataset_in

_BATCH = 1000  # files before they are registered


@dataclass(slots=True)
class ExportReport:
    """What became of images and their calibrations.

    Parameters
    ----------
    images, calibrations
        How many datasets are new in the target.
    images_there, calibrations_there
        How many it had already.
    certified
        How many validity ranges are new in the target.
    failed
        What could not be exported, with reasons.
    """

    images: int = 0
    images_there: int = 0
    calibrations: int = 0
    calibrations_there: int = 0
    certified: int = 0
    failed: list[FailedFile] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return (
            f"{self.images} images exported, {self.images_there} already there; {self.calibrations} calibrations "
            f"exported, {self.calibrations_there} already there; {self.certified} validity ranges certified; "
            f"{len(self.failed)} failed"
        )

    def __str__(self) -> str:
        return "\n".join([*map(str, self.failed), self.summary])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return {
            "images": self.images,
            "images_there": self.images_there,
            "calibrations": self.calibrations,
            "calibrations_there": self.calibrations_there,
            "certified": self.certified,
            "failed": [{"dataset": one.uri, "reason": one.reason} for one in self.failed],
        }


def export_images(
    source: Butler,
    target: Butler,
    *,
    where: str | None = None,
    collections: str | Iterable[str] = DEFAULT_COLLECTION,
    find_first: bool = True,
    transfer: str = "auto",
    calibrations: bool = True,
    dry_run: bool = False,
    **data_id: Any,
) -> ExportReport:
    """Export Level 2 images to another repository.

    Parameters
    ----------
    source
        A SPHEREx repository; read-only will do.
    target
        A writeable SPHEREx repository, as `~spherex_butler.make_repo` makes it.
    where
        Which images, as a Butler query expression; by default all.
    collections
        Where they are searched in the source.
    find_first
        Whether of several processings of an image only the first found is exported: the latest, in
        chains of releases.
    transfer
        How files come in: as for `.ingest_files`, but ``move``. By ``auto`` what the source keeps is linked if
        both are local, else copied, and files that the source only refers to stay where they are.
    calibrations
        Whether the calibrations that are valid for the images come along, in the calibration collections that
        are searched in the source: datasets, and whole validity ranges.
    dry_run
        Whether only to count.
    **data_id
        Values of dimensions that restrict the images.

    Returns
    -------
    report
        What became of them. A dataset that cannot be exported does not keep the others out.

    Raises
    ------
    ConfigurationError
        Raised if the target is read-only, or one of them no SPHEREx repository.
    ParameterError
        Raised if there is no such transfer mode or collection, ``move`` is asked for, or the images cannot be
        searched so.

    Notes
    -----
    Dataset ids stay. Runs are in the chains of their releases in the target as in the source. A second call
    exports what is new, and finishes what was interrupted. Ranges are exported whole, so that later exports
    do not contradict earlier ones; outside of the exported images they may have gaps. Where the source was
    certified anew meanwhile, its ranges take the place of those of datasets that it has, too, and that are not
    valid then in it any more.
    """
    names = [collections] if isinstance(collections, str) else list(collections)
    report = ExportReport()
    moved = Transfer(source, target, transfer, report.failed, dry_run=dry_run)
    wanted = _Calibrations(source, names) if calibrations else None
    search = _Search(source, names, where, {"instrument": INSTRUMENT, **data_id}, find_first=find_first)
    for period in Progress(__name__).wrap(
        search.planning_periods(), desc="Exporting planning periods", skip_scalar=False
    ):
        refs = search.images(period)
        if wanted is not None:
            wanted.note(refs)
        for batch in _batches(refs):
            new, there = moved.transfer(batch)
            report.images, report.images_there = report.images + new, report.images_there + there
    if wanted is not None:
        _export_calibrations(source, target, wanted, moved, report, dry_run=dry_run)
    return report


@dataclass(frozen=True, slots=True)
class _Search:
    """Which images are meant."""

    source: Butler
    collections: Sequence[str]
    where: str | None
    data_id: Mapping[str, Any]
    find_first: bool

    def planning_periods(self) -> list[str]:
        try:
            with self.source.query() as query:
                images = query.join_dataset_search(DATASET_TYPE, self.collections)
                found = images.where(*self._expression, **self.data_id).data_ids(["planning_period"])
                return sorted(str(data_id["planning_period"]) for data_id in found)
        except (ButlerUserError, LookupError) as error:
            raise ParameterError(
                f"The images {self.where or ''!r} {dict(self.data_id)} cannot be searched in {list(self.collections)}: "
                f"{reason_of(error)}"
            ) from error

    def images(self, period: str) -> list[DatasetRef]:
        """Return the images of one planning period; several thousand.

        Without dimension records, as Butler leaves out images that lack one then.
        """
        with self.source.query() as query:
            ids = query.where(instrument=INSTRUMENT, planning_period=period).data_ids(["exposure"])
            between = images_between(query, {int(data_id["exposure"]) for data_id in ids})
            found = query.datasets(DATASET_TYPE, self.collections, find_first=self.find_first).where(between)
            return list(found.where(*self._expression, **{**self.data_id, "planning_period": period}))

    @property
    def _expression(self) -> tuple[str, ...]:
        return () if self.where is None else (self.where,)


class _Calibrations:
    """The calibrations that are valid for images."""

    def __init__(self, source: Butler, collections: Sequence[str]) -> None:
        self._source = source
        self.path = list(dict.fromkeys([*search_path(source, collections), *search_path(source)]))
        self._unused = [
            (collection, certified)
            for collection in self.path
            for certified in certifications(source, collection=collection)
        ]
        self.used: list[tuple[str, Certification]] = []

    def note(self, refs: Iterable[DatasetRef]) -> None:
        """Look up the calibrations of images."""
        times = self._times(refs)
        used = [one for one in self._unused if _is_used(one[1], times)]
        self._unused = [one for one in self._unused if one not in used]
        self.used += used

    def _times(self, refs: Iterable[DatasetRef]) -> dict[int, NDArray[np.int64]]:
        """Return begin and end of the exposures of each detector, of all at 0."""
        exposures: dict[int, set[int]] = defaultdict(set)
        for ref in refs:
            exposures[int(ref.dataId["detector"])].add(int(ref.dataId["exposure"]))
        exposures[0] = set().union(*exposures.values())
        with self._source.query() as query:
            wanted = query.expression_factory.exposure.in_iterable(exposures[0])
            records = query.dimension_records("exposure").where(wanted, instrument=INSTRUMENT) if exposures[0] else ()
            known = {record.id: record.timespan.nsec for record in records if record.timespan is not None}
        return {
            detector: np.array([known[one] for one in ids & known.keys()], dtype=np.int64).reshape(-1, 2)
            for detector, ids in exposures.items()
        }


def _is_used(certified: Certification, times: Mapping[int, NDArray[np.int64]]) -> bool:
    begin, end = certified.timespan.nsec
    images = times.get(int(certified.ref.dataId.get("detector") or 0))
    return images is not None and bool(((images[:, 0] < end) & (images[:, 1] > begin)).any())


def _batches(refs: Iterable[DatasetRef]) -> Iterable[list[DatasetRef]]:
    """Yield datasets of one type and run, not too many at once."""

    def group(ref: DatasetRef) -> tuple[str, str]:
        return ref.datasetType.name, ref.run

    for _, members in groupby(sorted(refs, key=group), key=group):
        batch = list(members)
        yield from (batch[start : start + _BATCH] for start in range(0, len(batch), _BATCH))


def _export_calibrations(
    source: Butler, target: Butler, wanted: _Calibrations, moved: Transfer, report: ExportReport, *, dry_run: bool
) -> None:
    for batch in _batches({certified.ref.id: certified.ref for _, certified in wanted.used}.values()):
        new, there = moved.transfer(batch)
        report.calibrations, report.calibrations_there = report.calibrations + new, report.calibrations_there + there
    if not dry_run:
        patiently(lambda: _ensure_path(source, target, wanted.path))
        for collection in wanted.path:
            ranges = [certified for name, certified in wanted.used if name == collection]
            _certify(source, target, collection, ranges, report)


def _ensure_path(source: Butler, target: Butler, path: Iterable[str]) -> None:
    """Register calibration collections, and let the target search them in the same order."""
    for collection in path:
        target.collections.register(collection, CollectionType.CALIBRATION)
    members = chain_members(target, DEFAULT_COLLECTION)
    searched = [name for name in chain_members(source, DEFAULT_COLLECTION) if name in {*path, *members}]
    if not set(searched) <= set(members):
        target.collections.prepend_chain(DEFAULT_COLLECTION, _merged(members, searched))
        put_in_order(target, DEFAULT_COLLECTION)


def _merged(members: Iterable[str], searched: Sequence[str]) -> list[str]:
    """Return members in their order, with others before those that these are searched before."""
    merged = list(members)
    position = len(merged)
    for name in reversed(searched):
        if name in merged:
            position = merged.index(name)
        else:
            merged.insert(position, name)
    return merged


def _certify(
    source: Butler, target: Butler, collection: str, ranges: Iterable[Certification], report: ExportReport
) -> None:
    known = certifications(target, collection=collection)
    for certified in ranges:
        if _is_known(certified, known):
            continue
        try:
            patiently(partial(_certify_one, source, target, collection, certified))
        except INGEST_ERRORS as error:
            if _is_known(certified, certifications(target, collection=collection)):
                continue  # another process was faster
            text = f"{certified.ref.datasetType.name} {data_id_text(certified.ref)} in {collection}"
            reason = (
                f"{reason_of(error)} It is valid {range_text(certified.timespan)} in the source; decertify what the "
                "target has for that time, and export again."
            )
            report.failed.append(FailedFile(text, reason))
        else:
            report.certified += 1


def _certify_one(source: Butler, target: Butler, collection: str, certified: Certification) -> None:
    """Certify a range, in place of what the source had for that time and has given up since."""
    ref = dataset_in(target, certified.ref)
    kind, timespan = ref.datasetType, certified.timespan
    with target.transaction():
        if _conflicts(target, collection, certified):
            target.registry.decertify(collection, kind, Timespan.makeEmpty())  # locks, until the conflicts are read
            theirs = certifications(source, kind.name, collection=collection)
            conflicts = _conflicts(target, collection, certified)
            if all(_is_given_up(source, old, theirs, certified) for old in conflicts):
                target.registry.decertify(collection, kind, timespan, dataIds=[ref.dataId])
        target.registry.certify(collection, [ref], timespan)


def _conflicts(target: Butler, collection: str, certified: Certification) -> list[Certification]:
    data_id = certified.ref.dataId.required_values
    return [
        old
        for old in certifications(target, certified.ref.datasetType.name, collection=collection)
        if old.ref.dataId.required_values == data_id and old.timespan.overlaps(certified.timespan)
    ]


def _is_given_up(source: Butler, old: Certification, theirs: Iterable[Certification], certified: Certification) -> bool:
    """Whether the source has a dataset that is valid in the target, and it is not valid there during a new range."""
    if old.ref.id == certified.ref.id:
        return True
    still = any(one.ref.id == old.ref.id and one.timespan.overlaps(certified.timespan) for one in theirs)
    return not still and source.get_dataset(old.ref.id) is not None


def _is_known(certified: Certification, known: Iterable[Certification]) -> bool:
    return any(old.ref.id == certified.ref.id and old.timespan.contains(certified.timespan) for old in known)

"""Calibration files into a repository: looked at by `.ingest_plan`, placed, registered and certified."""

from __future__ import annotations

__all__ = ("CalibrationIngestReport", "ingest_calibrations")

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, Literal, TypeAlias
from uuid import UUID

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType
from lsst.daf.butler.progress import Progress
from lsst.daf.butler.registry import MissingCollectionError
from lsst.resources import ResourcePath

from ..errors import ConfigurationError, FormatError, ParameterError, reason_of
from ..files.failures import EmptyFolder, FailedFile
from ..files.paths import Paths
from ..files.placement import TransferMode, require_transfer
from ..files.sameness import same_bytes
from ..repository.contention import retry, split_on_failure
from ..repository.failures import one_item, told_as_repository_failures
from ..repository.opened import OpenedRepository, check_opened
from ..repository.placed_files import Arrival, PlacedFile, has_own_copy, moved_before, place_file, remove_moved_sources
from ..repository.registration import FileRecords, register, stored_uri
from ..repository.runs import doubt_of
from .archive_ids import derived_id
from .ingest_plan import PlannedCalibration, digest_of, plan_calibrations
from .ranges import Rule, RuleName
from .reports import CalibrationIngestReport, NotCertified
from .runs import ensure_calibration_run
from .validity import certify_ingested

_RULES = (str(Rule.LATEST), str(Rule.RELEASE))

_log = logging.getLogger(__name__)


@told_as_repository_failures(writes=True)
def ingest_calibrations(
    butler: Butler,
    paths: Paths,
    *,
    transfer: TransferMode = "auto",
    certify: Rule | Literal["latest", "release"] | None = "latest",
    processes: int = 1,
    archive_ids: Mapping[str, UUID | str] | None = None,
    dry_run: bool = False,
    report: CalibrationIngestReport | None = None,
) -> CalibrationIngestReport:
    """Ingest calibration files of the archive, and say when they are valid.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    paths
        Files, folders (searched for calibration files), globs, and
        ``https://``, ``http://`` or ``s3://`` URLs.
    transfer
        How files are transferred: one of Butler's modes.  ``auto`` links local files
        and copies remote ones; ``direct`` leaves them where they are.  A file
        that is copied or linked keeps its name.
    certify
        ``"latest"``: of each type that is in ``paths`` the newest token that
        holds the detector is valid always, in place of an older one that was
        certified by the same rule.  ``"release"``: the newest of each release while that
        release's observations were made.  `None`: certify by yourself.
    processes
        How many files are read at the same time.
    archive_ids
        The ids by which the archive's images name calibrations, by file name;
        they become the ids of the datasets.  A FITS file may state its own.
    dry_run
        Whether to change nothing, and only report what would be ingested; what would be certified is not told. The
        repository may be read-only then.
    report
        To be added to, so that it holds what was done also when the call is interrupted.

    Returns
    -------
    report
        What became of each file.  A file that cannot be ingested does not
        keep the others out.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only or not a SPHEREx repository.
    ParameterError
        Raised if a transfer mode or a rule does not exist, a path is empty, or ``archive_ids`` are not ids.
    RepositoryError
        Raised if the repository itself fails: its database, its disk, or the permission to write.

    Notes
    -----
    A file whose dataset is there is skipped if it is the same: local files
    are compared whole, others by size and headers.

    Only a dataset that is new takes the place of an older token's validity
    range.  What was certified for a detector since a file came in stays as it
    is, and the report says so where the rule would have it otherwise.  Where
    a detector has no range at all (by ``"release"``: in that release's time),
    a file that is skipped is certified, too, because an ingest may have
    been killed before it did: after `decertify`, ingest with ``certify=None``.

    The sources of a move are removed last, after the certification, and stay
    where their type could not be certified: the same call again finds them,
    whenever it was killed.
    """
    repository = check_opened(butler, writeable=not dry_run)
    require_transfer(transfer)
    if certify is not None and certify not in _RULES:
        raise ParameterError(f"There is no rule {certify!r} here; expected {' or '.join(map(repr, _RULES))}, or None.")
    planned, failed = plan_calibrations(paths, processes=processes, archive_ids=archive_ids)
    outcome = _Outcome(CalibrationIngestReport() if report is None else report)
    _note_failed(outcome.report, butler, failed, transfer)
    _ingest(repository, planned, transfer, outcome, dry_run=dry_run)
    if not dry_run:
        if certify is not None:
            _certify(butler, certify, outcome)
        _remove_sources(outcome)
    return outcome.report


@dataclass(slots=True)
class _Outcome:
    """The report of an ingest so far, the ids of new datasets, and the files whose sources have to be removed."""

    report: CalibrationIngestReport
    new: set[UUID] = field(default_factory=set)
    moved: list[PlacedFile] = field(default_factory=list)


def _ingest(
    repository: OpenedRepository,
    planned: Sequence[PlannedCalibration],
    transfer: str,
    outcome: _Outcome,
    *,
    dry_run: bool,
) -> None:
    report = outcome.report
    report.warn(warning for file in planned for warning in file.warnings)
    doubts = (doubt_of(file.name, file.uri) for file in planned)
    report.warn(dict.fromkeys(doubt for doubt in doubts if doubt is not None))
    groups = [list(files) for _, files in groupby(planned, key=lambda file: (file.name.dataset_type, file.name.run))]
    for group in Progress(__name__).wrap(groups, desc="Ingesting calibrations"):
        batch: _Batch | None = None
        with one_item(partial(_fail_all, report, group)):
            batch = _Batch(repository, group, outcome, transfer=transfer, dry_run=dry_run)
        if batch is not None:
            (batch.preview if dry_run else batch.ingest)()


def _note_failed(report: CalibrationIngestReport, butler: Butler, failed: Sequence[FailedFile], transfer: str) -> None:
    """Report files that were not read; of a move those as there that an earlier call has moved, which was killed."""
    for failure in failed:
        if transfer == "move" and (ref := moved_before(butler, failure)) is not None:
            report.skipped.append(ref)
        elif transfer == "move" and isinstance(failure, EmptyFolder):
            report.warn([f"{failure} Nothing is left to be moved."])
        else:
            report.failed.append(failure)


def _fail_all(report: CalibrationIngestReport, files: Sequence[PlannedCalibration], error: Exception) -> None:
    report.failed += [FailedFile.by(file.uri, error) for file in files]


def _calibration_type(repository: OpenedRepository, name: str) -> DatasetType:
    dataset_type = repository.dataset_type(name)
    if not dataset_type.isCalibration():
        raise ConfigurationError(f"The repository's dataset type {name!r} is not a calibration type.")
    return dataset_type


_Arrival: TypeAlias = Arrival[PlannedCalibration]


class _Batch:
    """The ingest of files of one type and run."""

    def __init__(
        self,
        repository: OpenedRepository,
        files: Sequence[PlannedCalibration],
        outcome: _Outcome,
        *,
        transfer: str,
        dry_run: bool,
    ) -> None:
        self._repository = repository
        self._butler = repository.butler
        self._records = FileRecords(repository.butler)
        self._files = files
        self._transfer = transfer
        self._outcome = outcome
        self._report = outcome.report
        self._dataset_type = _calibration_type(repository, files[0].name.dataset_type)
        self._run = files[0].name.run
        for file in {} if dry_run else {file.release: file for file in files}.values():
            retry(partial(ensure_calibration_run, self._butler, file.name, file.release))
        self._known = retry(self._look_up)

    def preview(self) -> None:
        """Report what `ingest` would do."""
        first: dict[Any, str] = {}
        for file in self._files:
            with one_item(partial(self._fail, file)):
                ref = self._new_dataset(file, first)
                self._report.ingested.extend([] if ref is None else [ref])

    def ingest(self) -> None:
        """Place and register the files that are new, and report the others."""
        arrivals = list(self._place_all())
        split_on_failure(arrivals, self._register, lambda arrival, error: self._fail(arrival.file, error))

    def _place_all(self) -> Iterator[_Arrival]:
        """Place the files that are new, outside of any transaction, and report the others."""
        first: dict[Any, str] = {}
        for file in self._files:
            arrival = None
            with one_item(partial(self._fail, file)):
                ref = self._new_dataset(file, first)
                arrival = None if ref is None else self._place(file, ref)
            if arrival is not None:
                yield arrival

    def _place(self, file: PlannedCalibration, ref: DatasetRef) -> _Arrival:
        placed = place_file(self._repository, ResourcePath(file.uri), ref, transfer=self._transfer)
        record = self._records.outside if self._transfer == "direct" else self._records.inside
        return Arrival(file, placed, record(ref, placed.uri, size=placed.uri.size()))

    def _register(self, arrivals: Sequence[_Arrival]) -> None:
        refs = [arrival.placed.ref for arrival in arrivals]
        new = register(self._butler, {arrival.placed.ref: [arrival.record] for arrival in arrivals})
        self._report.ingested.extend(ref for ref in refs if ref.id in new)
        self._report.skipped.extend(ref for ref in refs if ref.id not in new)  # another process was faster
        self._outcome.moved += [arrival.placed for arrival in arrivals]

    def _look_up(self) -> dict[Any, DatasetRef]:
        with self._butler.query() as query:
            found = query.datasets(self._dataset_type, collections=[self._run], find_first=False)
            try:
                return {ref.dataId.required_values: ref for ref in found}
            except MissingCollectionError:  # which only a preview meets
                return {}

    def _new_dataset(self, file: PlannedCalibration, first: dict[Any, str]) -> DatasetRef | None:
        """Return the dataset that a file becomes, `None` if it is there; raise an error if other content is there."""
        data_id = self._expand(file)
        ref = self._known.get(data_id.required_values)
        there = None if ref is None else stored_uri(self._butler, ref)
        if ref is not None and there is not None:
            _require_same(file, there)
            self._skip(file, ref, there)
            return None
        if (other := first.setdefault(data_id.required_values, file.uri)) != file.uri:
            if not _is_same(file, ResourcePath(other)):
                raise FormatError(f"{other!r} of the same call has this name and other content.")
            return None
        if ref is not None:
            return DatasetRef(self._dataset_type, data_id, run=self._run, id=ref.id)
        identifier = self._choose_id(file, data_id)
        self._outcome.new.add(identifier)
        return DatasetRef(self._dataset_type, data_id, run=self._run, id=identifier)

    def _expand(self, file: PlannedCalibration) -> DataCoordinate:
        data_id = DataCoordinate.standardize(
            file.data_id, dimensions=self._dataset_type.dimensions, universe=self._butler.dimensions
        )
        records = {"instrument": self._repository.instrument}
        if file.name.detector is not None:
            records["detector"] = self._repository.detectors[file.name.detector]
        return data_id.expanded(records)

    def _choose_id(self, file: PlannedCalibration, data_id: DataCoordinate) -> UUID:
        derived = derived_id(self._dataset_type, data_id, self._run)
        if file.archive_id is None:
            return derived
        other = self._butler.get_dataset(file.archive_id)
        if other is None:
            return file.archive_id
        self._report.warn([f"{file.uri}: the id {file.archive_id} stated for it is that of {other} here."])
        return derived

    def _skip(self, file: PlannedCalibration, ref: DatasetRef, there: ResourcePath) -> None:
        """Report a file that is in the repository; the source of a move that was interrupted is still to be removed."""
        self._report.skipped.append(ref)
        if file.archive_id not in {None, ref.id}:
            warning = f"{file.uri}: is there by the id {ref.id}; its id in the archive, {file.archive_id}, was not"
            self._report.warn([f"{warning} taken over. Remove the dataset and ingest it again if it should be."])
        source = ResourcePath(file.uri)
        if self._transfer == "move" and source.isLocal and has_own_copy(self._repository, source, there):
            self._outcome.moved.append(PlacedFile(source, ref, there, moved=True))

    def _fail(self, file: PlannedCalibration, error: Exception) -> None:
        self._report.failed.append(FailedFile.by(file.uri, error))


def _require_same(file: PlannedCalibration, there: ResourcePath) -> None:
    if there.isLocal and not there.exists():
        gone = f"the repository's file {str(there)!r} is gone"
        raise FormatError(f"{gone}; 'butler spherex verify' prints the command that gives it up, and no other.")
    if not _is_same(file, there):
        raise FormatError(f"the repository has {str(there)!r} with other content; nothing was changed.")


def _is_same(file: PlannedCalibration, there: ResourcePath) -> bool:
    """Return whether two files are the same: by content if both are local, else by size and headers."""
    here = ResourcePath(file.uri)
    if here == there:
        return True
    if here.isLocal and there.isLocal:
        return same_bytes(here, there)
    return here.size() == there.size() and digest_of(file.name, there) == file.digest


def _certify(butler: Butler, rule: Rule | RuleName, outcome: _Outcome) -> None:
    """Certify each type, including datasets that were there already: an earlier ingest may have been killed."""
    report = outcome.report
    refs: dict[str, list[DatasetRef]] = defaultdict(list)
    for ref in (*report.ingested, *report.skipped):
        refs[ref.datasetType.name].append(ref)
    for name in sorted(refs):
        with one_item(partial(_note_not_certified, report, name)):
            found = certify_ingested(butler, name, refs[name], rule=rule, new=outcome.new)
            report.certified += found.certified
            report.warn(found.replacements)
            report.warn(f"not certified: {note}" for note in found.notes)


def _note_not_certified(report: CalibrationIngestReport, name: str, error: Exception) -> None:
    report.not_certified.append(NotCertified(name, reason_of(error)))
    _log.warning("%s", report.not_certified[-1])


def _remove_sources(outcome: _Outcome) -> None:
    """Remove the sources of moves, except of types that are not certified, so that the next call finds them."""
    kept = {found.dataset_type for found in outcome.report.not_certified}
    placed = [file for file in outcome.moved if file.ref.datasetType.name not in kept]
    outcome.report.warn(remove_moved_sources(placed))

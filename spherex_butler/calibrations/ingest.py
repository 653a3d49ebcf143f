"""Calibration files into a repository: looked at by `.plan`, placed, registered, certified."""

from __future__ import annotations

__all__ = ("CalibrationIngestReport", "execute", "ingest_calibrations")

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, DimensionRecord, MissingDatasetTypeError
from lsst.daf.butler.progress import Progress
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.resources import ResourcePath

from ..constants import INSTRUMENT
from ..errors import ConfigurationError, ParameterError, reason_of
from ..files.failures import FailedFile
from ..files.paths import Paths
from ..files.placement import is_same, require_transfer
from ..repository.arrivals import (
    INGEST_ERRORS,
    Arrival,
    bring_in,
    datastore_root,
    register,
    remove_sources,
    require_writeable,
    stored_uri,
)
from ..repository.contention import patiently
from ..repository.exposures import instrument_records
from .archive_ids import derived_id
from .ingest_plan import PlannedCalibration, digest_of, plan_calibrations
from .ranges import Rule
from .reports import CalibrationIngestReport, NotCertified
from .runs import ensure_calibration_run
from .validity import certify_arrivals

_RULES = (str(Rule.LATEST), str(Rule.RELEASE))

_log = logging.getLogger(__name__)


def ingest_calibrations(
    butler: Butler,
    paths: Paths,
    *,
    transfer: str = "auto",
    certify: str | None = "latest",
    processes: int = 1,
    archive_ids: Mapping[str, UUID | str] | None = None,
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
        How files come in: one of Butler's modes.  ``auto`` links local files
        and copies remote ones; ``direct`` leaves them where they are.  A file
        that is copied or linked keeps its name.
    certify
        ``"latest"``: of each type that is in ``paths`` the newest token that
        holds the detector is valid always, in place of an older one that was
        certified so.  ``"release"``: the newest of each release while that
        release's observations were made.  `None`: certify by yourself.
    processes
        How many files are looked at at a time.
    archive_ids
        The ids by which the archive's images name calibrations, by file name;
        they become the ids of the datasets.  A FITS file may state its own.

    Returns
    -------
    report
        What became of each file.  A file that cannot be ingested does not
        keep the others out.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only or no SPHEREx repository.
    ParameterError
        Raised if a transfer mode or a rule does not exist, a path is empty, or ``archive_ids`` are no ids.

    Notes
    -----
    A file whose dataset is there is skipped if it is the same: local files
    are compared whole, others by size and headers.

    Only a dataset that is new takes the place of an older token's validity
    range.  What was certified for a detector since a file came in stays as it
    is, and the report says so where the rule would have it otherwise.  Where
    a detector has no range at all (by ``"release"``: in that release's time),
    a file that is skipped is certified all the same, as an ingest may have
    been killed before it did: after `decertify`, ingest with ``certify=None``.

    The sources of a move are removed last, after the certification, and stay
    where their type could not be certified: the same call again finds them,
    whenever it was killed.
    """
    _require_ready(butler)
    require_transfer(transfer)
    if certify is not None and certify not in _RULES:
        raise ParameterError(f"There is no rule {certify!r} here; expected {' or '.join(map(repr, _RULES))}, or None.")
    planned, failed = plan_calibrations(paths, processes=processes, archive_ids=archive_ids)
    outcome = _ingest(butler, planned, transfer)
    outcome.report.failed[:0] = failed
    if certify is not None:
        _certify(butler, certify, outcome)
    _remove_sources(outcome)
    return outcome.report


def execute(
    butler: Butler, planned: Sequence[PlannedCalibration], *, transfer: str = "auto"
) -> CalibrationIngestReport:
    """Ingest planned files, in one transaction a run and type; nothing is certified.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    planned
        What `plan_calibrations` returned.
    transfer
        As for `ingest_calibrations`.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only or no SPHEREx repository.
    """
    outcome = _ingest(butler, planned, transfer)
    _remove_sources(outcome)
    return outcome.report


@dataclass(slots=True)
class _Outcome:
    """What an ingest came to so far.

    Parameters
    ----------
    report
        For the user.
    new
        Ids of datasets that the repository did not have.
    moved
        Files whose sources have to go.
    """

    report: CalibrationIngestReport = field(default_factory=CalibrationIngestReport)
    new: set[UUID] = field(default_factory=set)
    moved: list[Arrival] = field(default_factory=list)


def _ingest(butler: Butler, planned: Sequence[PlannedCalibration], transfer: str) -> _Outcome:
    records = _require_ready(butler)
    outcome = _Outcome()
    report = outcome.report
    _warn(report, (warning for file in planned for warning in file.warnings))
    groups = [list(files) for _, files in groupby(planned, key=lambda file: (file.name.dataset_type, file.name.run))]
    for group in Progress(__name__).wrap(groups, desc="Ingesting calibrations"):
        try:
            batch = _Batch(butler, group, records, outcome)
        except (MissingDatasetTypeError, ConfigurationError) as error:
            report.failed += [FailedFile(file.uri, reason_of(error)) for file in group]
        else:
            _register_all(butler, list(batch.bring_in(transfer)), outcome)
    return outcome


def _require_ready(butler: Butler) -> dict[int | str, DimensionRecord]:
    """Return the records of instrument and detectors, or say why the repository cannot take calibrations."""
    require_writeable(butler)
    datastore_root(butler)
    return instrument_records(butler)


def _calibration_type(butler: Butler, name: str) -> DatasetType:
    try:
        dataset_type = butler.get_dataset_type(name)
    except MissingDatasetTypeError as error:
        raise ConfigurationError(
            f"The repository has no dataset type {name!r}; expected one made by spherex_butler.make_repo."
        ) from error
    if not dataset_type.isCalibration():
        raise ConfigurationError(f"The repository's dataset type {name!r} is no calibration type.")
    return dataset_type


class _Batch:
    """Files of one type and run on their way in."""

    def __init__(
        self,
        butler: Butler,
        files: Sequence[PlannedCalibration],
        records: Mapping[int | str, DimensionRecord],
        outcome: _Outcome,
    ) -> None:
        self._butler = butler
        self._files = files
        self._records = records
        self._outcome = outcome
        self._report = outcome.report
        self._dataset_type = _calibration_type(butler, files[0].name.dataset_type)
        self._run = files[0].name.run
        for file in {file.release: file for file in files}.values():
            patiently(partial(ensure_calibration_run, butler, file.name, file.release))

    def bring_in(self, transfer: str) -> Iterator[tuple[PlannedCalibration, Arrival]]:
        """Place the files that are new, outside of any transaction, and report the others."""
        known, first = patiently(self._known), dict[Any, str]()
        for file in self._files:
            try:
                ref = self._new_dataset(file, known, first, transfer)
                arrival = None if ref is None else self._place(file, ref, transfer)
            except INGEST_ERRORS as error:
                self._report.failed.append(FailedFile(file.uri, reason_of(error)))
            else:
                if arrival is not None:
                    yield file, arrival

    def _place(self, file: PlannedCalibration, ref: DatasetRef, transfer: str) -> Arrival:
        return bring_in(self._butler, ResourcePath(file.uri), ref, transfer=transfer)

    def _known(self) -> dict[Any, DatasetRef]:
        with self._butler.query() as query:
            found = query.datasets(self._dataset_type, collections=[self._run], find_first=False)
            return {ref.dataId.required_values: ref for ref in found}

    def _new_dataset(
        self, file: PlannedCalibration, known: Mapping[Any, DatasetRef], first: dict[Any, str], transfer: str
    ) -> DatasetRef | None:
        """Return the dataset that a file becomes, or report why it becomes none."""
        data_id = self._expand(file)
        ref = known.get(data_id.required_values)
        there = None if ref is None else stored_uri(self._butler, ref)
        if ref is not None and there is not None:
            if self._report_known(file, ref, there) and transfer == "move":
                self._finish_move(file, ref, there)
            return None
        if (other := first.setdefault(data_id.required_values, file.uri)) != file.uri:
            self._report_repeated(file, other)
            return None
        identifier = self._choose_id(file, data_id) if ref is None else ref.id
        if ref is None:
            self._outcome.new.add(identifier)
        return DatasetRef(self._dataset_type, data_id, run=self._run, id=identifier)

    def _expand(self, file: PlannedCalibration) -> DataCoordinate:
        data_id = DataCoordinate.standardize(
            file.data_id, dimensions=self._dataset_type.dimensions, universe=self._butler.dimensions
        )
        records = {"instrument": self._records[INSTRUMENT]}
        if file.name.detector is not None:
            records["detector"] = self._records[file.name.detector]
        return data_id.expanded(records)

    def _choose_id(self, file: PlannedCalibration, data_id: DataCoordinate) -> UUID:
        derived = derived_id(self._dataset_type, data_id, self._run)
        if file.archive_id is None:
            return derived
        other = self._butler.get_dataset(file.archive_id)
        if other is None:
            return file.archive_id
        _warn(self._report, [f"{file.uri}: the id {file.archive_id} stated for it is that of {other} here."])
        return derived

    def _report_known(self, file: PlannedCalibration, ref: DatasetRef, there: ResourcePath) -> bool:
        """Report a file whose dataset is in the repository: skipped, or failed if it is not the same file.

        Return whether it was skipped.
        """
        if there.isLocal and not there.exists():
            reason = (
                f"the repository's file {str(there)!r} is gone; remove its dataset with 'butler prune-datasets' first."
            )
        elif not _is_same(file, there):
            reason = f"the repository has {str(there)!r} by this name, with other content; nothing was changed."
        else:
            self._report.skipped.append(ref)
            if file.archive_id not in {None, ref.id}:
                warning = (
                    f"{file.uri}: is there by the id {ref.id}, so that its id in the archive, {file.archive_id}, was "
                    "not taken over; remove the dataset and ingest it again if it should be."
                )
                _warn(self._report, [warning])
            return True
        self._report.failed.append(FailedFile(file.uri, reason))
        return False

    def _finish_move(self, file: PlannedCalibration, ref: DatasetRef, there: ResourcePath) -> None:
        """Have the source of a move removed that was interrupted after the registration."""
        source = ResourcePath(file.uri)
        if source.isLocal and source != there and self._is_own(source, there):
            self._outcome.moved.append(Arrival(source, ref, there, None, moved=True))

    def _is_own(self, source: ResourcePath, there: ResourcePath) -> bool:
        """Whether the repository has a file of its own with the same content, every byte of it."""
        try:
            return there.relative_to(datastore_root(self._butler)) is not None and is_same(source, there)
        except OSError:  # another process finished the move, or one of them may not be read
            return False

    def _report_repeated(self, file: PlannedCalibration, first: str) -> None:
        """Report a second file of one name: nothing to say if it is the same."""
        if not _is_same(file, ResourcePath(first)):
            reason = f"{first!r} of the same call has this name and other content."
            self._report.failed.append(FailedFile(file.uri, reason))


def _is_same(file: PlannedCalibration, there: ResourcePath) -> bool:
    """Whether a file is the one that is there: by content where both are local, else by size and headers."""
    here = ResourcePath(file.uri)
    if here == there:
        return True
    if here.isLocal and there.isLocal:
        return is_same(here, there)
    return here.size() == there.size() and digest_of(file.name, there) == file.digest


def _register_all(butler: Butler, arrivals: Sequence[tuple[PlannedCalibration, Arrival]], outcome: _Outcome) -> None:
    """Register files together, or one by one where one of them fails."""
    found = [arrival for _, arrival in arrivals]
    try:
        patiently(partial(_register_together, butler, found), conflicts=(ConflictingDefinitionError,))
    except INGEST_ERRORS as error:
        if len(arrivals) == 1:
            outcome.report.failed.append(FailedFile(arrivals[0][0].uri, reason_of(error)))
            return
        for pair in arrivals:
            _register_all(butler, [pair], outcome)
    else:
        outcome.report.ingested.extend(arrival.ref for arrival in found)
        outcome.moved += found


def _register_together(butler: Butler, arrivals: Sequence[Arrival]) -> None:
    with butler.transaction():
        register(butler, arrivals)


def _certify(butler: Butler, rule: str, outcome: _Outcome) -> None:
    """Certify type by type: also what is there already, as an ingest may have been killed before it did."""
    report = outcome.report
    refs: dict[str, list[DatasetRef]] = defaultdict(list)
    for ref in (*report.ingested, *report.skipped):
        refs[ref.datasetType.name].append(ref)
    for name in sorted(refs):
        try:
            found = certify_arrivals(butler, name, refs[name], rule=rule, new=outcome.new)
        except INGEST_ERRORS as error:
            report.not_certified.append(NotCertified(name, reason_of(error)))
            _log.warning("%s", report.not_certified[-1])
        else:
            report.certified += found.certified
            _warn(report, found.replacements)
            _warn(report, (f"not certified: {note}" for note in found.notes))


def _remove_sources(outcome: _Outcome) -> None:
    """Remove the sources of moves, but of types that are not certified: the next call shall find those."""
    kept = {found.dataset_type for found in outcome.report.not_certified}
    arrivals = [arrival for arrival in outcome.moved if arrival.ref.datasetType.name not in kept]
    _warn(outcome.report, remove_sources(arrivals))


def _warn(report: CalibrationIngestReport, warnings: Iterable[str]) -> None:
    for warning in warnings:
        report.warnings.append(warning)
        _log.warning("%s", warning)

"""Files into a repository: headers read by `.ingest_plan`, then exposures and datasets registered in batches."""

from __future__ import annotations

__all__ = ("FailedFile", "IngestReport", "PlannedFile", "execute", "ingest_files", "plan_files")

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from lsst.daf.butler import (
    Butler,
    ButlerUserError,
    DataCoordinate,
    DatasetIdFactory,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    FileDataset,
    MissingDatasetTypeError,
)
from lsst.daf.butler.progress import Progress
from lsst.daf.butler.registry import RegistryError
from lsst.resources import ResourcePath
from sqlalchemy.exc import SQLAlchemyError

from .conventions import INSTRUMENT
from .errors import ConfigurationError
from .exposures import data_id_with_records, insert_exposures, instrument_records
from .ingest_plan import DATASET_TYPE, FailedFile, PlannedFile, plan_files, reason_of
from .placement import place, remove_source, require_transfer, resolve_transfer
from .runs import chain_of, ensure_run

_BATCH = 100  # files a transaction: registering is fast, and progress shows and survives
_ERRORS = (ButlerUserError, LookupError, OSError, RegistryError, RuntimeError, SQLAlchemyError, ValueError)
"""What keeps a file out of the repository, but not the others."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class IngestReport:
    """What became of each file.

    Parameters
    ----------
    ingested
        Datasets that are new in the repository.
    skipped
        Datasets that were there already.
    failed
        Files that could not be ingested, with reasons.
    warnings
        What was odd about files that were ingested all the same.
    """

    ingested: list[DatasetRef] = field(default_factory=list)
    skipped: list[DatasetRef] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.ingested)} ingested, {len(self.skipped)} already there, {len(self.failed)} failed"

    def __str__(self) -> str:
        return "\n".join([*self.warnings, *map(str, self.failed), self.summary])


def ingest_files(
    butler: Butler,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | ResourcePath],
    *,
    transfer: str = "auto",
    processes: int = 1,
    release: str | None = None,
) -> IngestReport:
    """Ingest Level 2 files.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    paths
        Files, folders (searched for Level 2 files), globs, and ``https://``,
        ``http://`` or ``s3://`` URLs, of which only the headers are read.
    transfer
        How files come in: one of Butler's modes.  ``auto`` links local files
        and copies remote ones; ``direct`` leaves them where they are and keeps
        their absolute address.
    processes
        How many processes read headers.  With more than one a script that
        calls this needs the usual guard ``if __name__ == "__main__":``.
    release
        The release the files belong to; by default as their path or
        processing version tells.

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
        Raised if a transfer mode or a release does not exist, or a path is empty.

    Notes
    -----
    Dataset ids follow from data ID, dataset type and run, so a second call
    skips what is there.  The first detector of an exposure to arrive decides
    its record; those of the others differ by a millisecond.
    """
    _require_ready(butler)
    require_transfer(transfer)
    if release is not None:
        chain_of(release)
    planned, failed = plan_files(paths, processes=processes, release=release)
    report = execute(butler, planned, transfer=transfer)
    report.failed[:0] = failed
    return report


def execute(butler: Butler, planned: Sequence[PlannedFile], *, transfer: str = "auto") -> IngestReport:
    """Ingest planned files, in one transaction a batch.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    planned
        What `plan_files` returned.
    transfer
        As for `ingest_files`.

    Returns
    -------
    report
        What became of each file.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only or no SPHEREx repository.
    """
    dataset_type = _require_ready(butler)
    report = IngestReport(warnings=[warning for file in planned for warning in file.warnings])
    for warning in report.warnings:
        _log.warning("%s", warning)
    for batch in Progress(__name__).wrap(list(_batches(planned)), desc="Ingesting"):
        _ingest_batch(butler, dataset_type, batch, transfer, report)
    return report


def _require_ready(butler: Butler) -> DatasetType:
    """Return the dataset type, or say why the repository cannot take images."""
    if not butler.isWriteable():
        raise ConfigurationError(
            "The repository is read-only here; open it with Butler.from_config(…, writeable=True)."
        )
    instrument_records(butler)
    _datastore_root(butler)
    try:
        return butler.get_dataset_type(DATASET_TYPE)
    except MissingDatasetTypeError as error:
        raise ConfigurationError(
            f"The repository has no dataset type {DATASET_TYPE!r}; expected one made by spherex_butler.make_repo."
        ) from error


def _datastore_root(butler: Butler) -> ResourcePath:
    roots = butler.get_datastore_roots()
    found = [root for root in roots.values() if root is not None]
    if len(found) != 1:
        raise ConfigurationError(f"The repository's datastore roots are {roots!r}; expected one that keeps files.")
    return found[0]


def _batches(planned: Sequence[PlannedFile]) -> Iterator[list[PlannedFile]]:
    """Yield files of one run and release, not too many at once."""
    for _, group in groupby(planned, key=lambda file: (file.name.run, file.release)):
        files = list(group)
        yield from (files[start : start + _BATCH] for start in range(0, len(files), _BATCH))


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A file that is where Butler will read it, not registered yet."""

    file: PlannedFile
    ref: DatasetRef
    uri: ResourcePath
    mode: str | None
    moved: bool


def _ingest_batch(
    butler: Butler, dataset_type: DatasetType, batch: Sequence[PlannedFile], transfer: str, report: IngestReport
) -> None:
    run = ensure_run(butler, batch[0].name, batch[0].release)
    refs = {file.uri: _make_ref(butler, dataset_type, run, file) for file in batch}
    new = _new_files(butler, run, batch, refs, report)
    arrivals = list(_bring_in(butler, new, refs, transfer, report))
    try:
        _register(butler, arrivals)
    except _ERRORS:
        for arrival in arrivals:
            _register_alone(butler, arrival, report)
    else:
        _finish(arrivals, report)


def _make_ref(butler: Butler, dataset_type: DatasetType, run: str, file: PlannedFile) -> DatasetRef:
    """Return the dataset a file becomes, its id made of data ID, dataset type and run."""
    data_id = DataCoordinate.standardize(file.data_id, universe=butler.dimensions)
    identifier = DatasetIdFactory().makeDatasetId(run, dataset_type, data_id, DatasetIdGenEnum.DATAID_TYPE_RUN)
    return DatasetRef(dataset_type, data_id, run=run, id=identifier)


def _new_files(
    butler: Butler, run: str, batch: Sequence[PlannedFile], refs: dict[str, DatasetRef], report: IngestReport
) -> list[PlannedFile]:
    """Return the files whose datasets the repository lacks, one for each, and report the others."""
    known = _known_ids(butler, run, batch)
    new: dict[uuid.UUID, PlannedFile] = {}
    for file in batch:
        ref = refs[file.uri]
        there = _stored_uri(butler, ref) if ref.id in known else None
        if there is not None:
            _report_known(file, ref, there, report)
        elif ref.id in new:
            _report_repeated(file, ref, new[ref.id], report)
        else:
            new[ref.id] = file
    return list(new.values())


def _known_ids(butler: Butler, run: str, batch: Sequence[PlannedFile]) -> set[uuid.UUID]:
    exposures = {file.data_id["exposure"] for file in batch}
    with butler.query() as query:
        wanted = query.expression_factory.exposure.in_iterable(exposures)
        found = query.datasets(DATASET_TYPE, collections=[run], find_first=False)
        return {ref.id for ref in found.where(wanted, instrument=INSTRUMENT)}


def _stored_uri(butler: Butler, ref: DatasetRef) -> ResourcePath | None:
    """Return where a registered dataset is, `None` if its file was given up."""
    try:
        return butler.getURI(ref)
    except FileNotFoundError:
        return None


def _report_known(file: PlannedFile, ref: DatasetRef, there: ResourcePath, report: IngestReport) -> None:
    """Report a file whose dataset is in the repository: skipped, or failed if it is not the same file."""
    if there.isLocal and not there.exists():
        reason = f"the repository's file {str(there)!r} is gone; remove its dataset with 'butler prune-datasets' first."
    elif file.size is not None and there.isLocal and there.size() != file.size:
        reason = f"the repository has {str(there)!r} for this image and run, of another size; nothing was changed."
    else:
        report.skipped.append(ref)
        return
    report.failed.append(FailedFile(file.uri, reason))


def _report_repeated(file: PlannedFile, ref: DatasetRef, first: PlannedFile, report: IngestReport) -> None:
    """Report a second file of one image: skipped if it is the first by another path."""
    this, that = ResourcePath(file.uri), ResourcePath(first.uri)
    if this.isLocal and that.isLocal and Path(this.ospath).samefile(that.ospath):
        report.skipped.append(ref)
    else:
        reason = f"{first.uri!r} of the same call is the same image of the same run."
        report.failed.append(FailedFile(file.uri, reason))


def _bring_in(
    butler: Butler, files: Sequence[PlannedFile], refs: dict[str, DatasetRef], transfer: str, report: IngestReport
) -> Iterator[_Arrival]:
    """Place files one by one, outside of any transaction: copying takes its time, and others want to write."""
    root, registered = _datastore_root(butler), instrument_records(butler)
    for file in files:
        try:
            ref = refs[file.uri].expanded(data_id_with_records(butler, file.description, registered))
            arrival = _place_one(butler, file, ref, resolve_transfer(transfer, ResourcePath(file.uri), root))
        except _ERRORS as error:
            report.failed.append(FailedFile(file.uri, reason_of(error)))
        else:
            yield arrival


def _place_one(butler: Butler, file: PlannedFile, ref: DatasetRef, mode: str | None) -> _Arrival:
    source = ResourcePath(file.uri)
    if mode is None or mode == "direct":
        return _Arrival(file, ref, source, mode, moved=False)
    target = butler.getURI(ref, predict=True)
    place(source, target, mode)
    return _Arrival(file, ref, target, None, moved=mode == "move")


def _register(butler: Butler, arrivals: Sequence[_Arrival]) -> None:
    with butler.transaction():
        insert_exposures(butler, [arrival.file.description for arrival in arrivals])
        for mode in (None, "direct"):
            datasets = [FileDataset(arrival.uri, [arrival.ref]) for arrival in arrivals if arrival.mode == mode]
            butler.ingest(*datasets, transfer=mode, skip_existing=True)


def _register_alone(butler: Butler, arrival: _Arrival, report: IngestReport) -> None:
    try:
        _register(butler, [arrival])
    except _ERRORS as error:
        report.failed.append(FailedFile(arrival.file.uri, reason_of(error)))
    else:
        _finish([arrival], report)


def _finish(arrivals: Iterable[_Arrival], report: IngestReport) -> None:
    """Report what is registered, and remove the sources of a move."""
    for arrival in arrivals:
        report.ingested.append(arrival.ref)
        reason = remove_source(ResourcePath(arrival.file.uri), arrival.uri) if arrival.moved else None
        if reason is not None:
            report.warnings.append(f"{arrival.file.uri}: was ingested but not removed: {reason}.")
            _log.warning("%s", report.warnings[-1])

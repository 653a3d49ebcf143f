"""Files into a repository: headers read by `.ingest_plan`, then exposures and datasets registered in batches."""

from __future__ import annotations

__all__ = ("FailedFile", "IngestReport", "PlannedFile", "execute", "ingest_files", "plan_files")

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from lsst.daf.butler import (
    Butler,
    DataCoordinate,
    DatasetIdFactory,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    MissingDatasetTypeError,
)
from lsst.daf.butler.progress import Progress
from lsst.resources import ResourcePath

from .arrivals import INGEST_ERRORS, Arrival, bring_in, datastore_root, register, remove_sources, stored_uri
from .conventions import INSTRUMENT
from .errors import ConfigurationError
from .exposures import data_id_with_records, insert_exposures, instrument_records
from .ingest_plan import DATASET_TYPE, PlannedFile, plan_files
from .placement import require_transfer
from .reports import FailedFile, IngestReport, reason_of
from .runs import chain_of, ensure_run

_BATCH = 100  # files a transaction: registering is fast, and progress shows and survives

_log = logging.getLogger(__name__)


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
    datastore_root(butler)
    try:
        return butler.get_dataset_type(DATASET_TYPE)
    except MissingDatasetTypeError as error:
        raise ConfigurationError(
            f"The repository has no dataset type {DATASET_TYPE!r}; expected one made by spherex_butler.make_repo."
        ) from error


def _batches(planned: Sequence[PlannedFile]) -> Iterator[list[PlannedFile]]:
    """Yield files of one run and release, not too many at once."""
    for _, group in groupby(planned, key=lambda file: (file.name.run, file.release)):
        files = list(group)
        yield from (files[start : start + _BATCH] for start in range(0, len(files), _BATCH))


def _ingest_batch(
    butler: Butler, dataset_type: DatasetType, batch: Sequence[PlannedFile], transfer: str, report: IngestReport
) -> None:
    run = ensure_run(butler, batch[0].name, batch[0].release)
    refs = {file.uri: _make_ref(butler, dataset_type, run, file) for file in batch}
    new = _new_files(butler, run, batch, refs, report)
    arrivals = list(_bring_in(butler, new, refs, transfer, report))
    if arrivals:
        _register_all(butler, arrivals, report)


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
        there = stored_uri(butler, ref) if ref.id in known else None
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
) -> Iterator[tuple[PlannedFile, Arrival]]:
    """Place files one by one, outside of any transaction: copying takes its time, and others want to write."""
    registered = instrument_records(butler)
    for file in files:
        try:
            ref = refs[file.uri].expanded(data_id_with_records(butler, file.description, registered))
            arrival = bring_in(butler, ResourcePath(file.uri), ref, transfer=transfer)
        except INGEST_ERRORS as error:
            report.failed.append(FailedFile(file.uri, reason_of(error)))
        else:
            yield file, arrival


def _register_all(butler: Butler, arrivals: Sequence[tuple[PlannedFile, Arrival]], report: IngestReport) -> None:
    """Register files together, or one by one where one of them fails."""
    try:
        with butler.transaction():
            insert_exposures(butler, [file.description for file, _ in arrivals])
            register(butler, [arrival for _, arrival in arrivals])
    except INGEST_ERRORS as error:
        if len(arrivals) == 1:
            report.failed.append(FailedFile(arrivals[0][0].uri, reason_of(error)))
            return
        for pair in arrivals:
            _register_all(butler, [pair], report)
    else:
        _finish([arrival for _, arrival in arrivals], report)


def _finish(arrivals: Sequence[Arrival], report: IngestReport) -> None:
    report.ingested += [arrival.ref for arrival in arrivals]
    for warning in remove_sources(arrivals):
        report.warnings.append(warning)
        _log.warning("%s", warning)

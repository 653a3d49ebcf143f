"""Files into a repository: read ahead by `.plan`, compared with what is there, placed, and registered in batches."""

from __future__ import annotations

__all__ = ("execute", "ingest_files")

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import TypeAlias

from lsst.daf.butler import Butler, DatasetRef
from lsst.daf.butler.progress import Progress, ProgressBar
from lsst.resources import ResourcePath

from ..arguments import require_number
from ..constants import DATASET_TYPE
from ..files.failures import EmptyFolder, FailedFile
from ..files.paths import Paths
from ..files.placement import TransferMode, require_transfer
from ..images.description import ImageDescription
from ..repository.butler_internals import MANY, lacks_statistics, update_statistics
from ..repository.contention import retry, split_on_failure
from ..repository.distortions import distortion_in, remember_distortion
from ..repository.exposures import data_id_with_records, insert_exposures
from ..repository.failures import one_item, told_as_repository_failures
from ..repository.opened import OpenedRepository, check_opened
from ..repository.placed_files import Arrival, PlacedFile, has_own_copy, moved_before, place_file, remove_moved_sources
from ..repository.registration import FileRecords, known_ids, register
from ..repository.reports import IngestReport
from ..repository.runs import chain_of, ensure_run
from .comparison import compare
from .plan import PlannedFile
from .reading_ahead import BATCH_SIZE, batches, find_images, read_plans
from .record_updates import update_exposures


@told_as_repository_failures(writes=True)
def ingest_files(
    butler: Butler,
    paths: Paths,
    *,
    transfer: TransferMode = "auto",
    processes: int = 1,
    release: str | None = None,
    update_records: bool = False,
    report: IngestReport | None = None,
    batch_size: int = BATCH_SIZE,
) -> IngestReport:
    """Ingest Level 2 files.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    paths
        Files, folders (searched for Level 2 files), globs, and ``https://``,
        ``http://`` or ``s3://`` URLs, of which only the headers are read;
        a URL of S3 may also be a folder, by a slash at its end, or a glob.
    transfer
        How files come in: one of Butler's modes.  ``auto`` links local files
        and copies remote ones; ``direct`` leaves them where they are and keeps
        their absolute address.
    processes
        How many processes read the headers of local files, or threads those of
        URLs.  With more than one, a script that calls this needs the usual guard
        ``if __name__ == "__main__":``.
    release
        The release the files belong to; by default as their path or
        processing version tells.
    update_records
        Whether what the headers say replaces the exposures and regions on record,
        of datasets that are there already and of new ones.
    report
        To be added to, so that it holds what was done also when the call is interrupted.
    batch_size
        How many files are registered together, at most.

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
    RepositoryError
        Raised if the repository itself fails: its database, its disk, or the permission to write. A ``report`` that was
        given holds what was done before.

    Notes
    -----
    Dataset ids follow from data ID, dataset type and run, so a second call
    skips what is there.  The first detector of an exposure to arrive decides
    its record; the others' headers differ by a millisecond.  A header that tells
    of another moment (no part of the time on record) or another place (more than
    0.1° away) keeps its file out; smaller differences, above 0.5 s and 1', are warned of.

    Whatever is raised for one file is that file's failure.

    Headers are read while others are registered, and forgotten when they are:
    memory grows by 30 bytes a file, and by the reasons of failures.
    """
    repository = check_opened(butler)
    require_transfer(transfer)
    require_number("batch_size", batch_size)
    if release is not None:
        chain_of(release)
    report = IngestReport.of_images() if report is None else report
    images = BatchIngest(repository, transfer, report, update_records=update_records)
    total = _count(paths) if Progress(__name__).is_enabled() else None
    with closing(read_plans(paths, processes=processes, release=release)) as plans:
        images.ingest_all(plans, batch_size=batch_size, total=total)
    return report


@told_as_repository_failures(writes=True)
def execute(
    butler: Butler,
    planned: Iterable[PlannedFile | FailedFile],
    *,
    transfer: TransferMode = "auto",
    update_records: bool = False,
    report: IngestReport | None = None,
) -> IngestReport:
    """Ingest planned files, in one transaction a batch.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    planned
        What `plan_files` returned, or `~.ingest.reading_ahead.read_plans` yields.
    transfer, update_records, report
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
    report = IngestReport.of_images() if report is None else report
    BatchIngest(check_opened(butler), transfer, report, update_records=update_records).ingest_all(planned)
    return report


def _count(paths: Paths) -> int | None:
    """Return how many files there will be; `None` if paths can be gone through only once."""
    return None if isinstance(paths, Iterator) else sum(1 for _ in find_images(paths))


_Arrival: TypeAlias = Arrival[PlannedFile]
_Known: TypeAlias = tuple[PlannedFile, DatasetRef, ResourcePath]


class BatchIngest:
    """The ingest of batches, each of one run and release.

    What becomes of files is added to the report. They are registered after ``patience`` seconds of placing: what a
    kill leaves placed and not registered has to be compared with its source again.
    """

    def __init__(
        self,
        repository: OpenedRepository,
        transfer: str,
        report: IngestReport,
        *,
        update_records: bool = False,
        patience: float = 5.0,
    ) -> None:
        self._dataset_type = repository.dataset_type(DATASET_TYPE)
        self._repository = repository
        self._butler = repository.butler
        self._records = FileRecords(repository.butler)
        self._transfer = transfer
        self._report = report
        self._update_records = update_records
        self._patience = patience

    def ingest_all(
        self, planned: Iterable[PlannedFile | FailedFile], *, batch_size: int = BATCH_SIZE, total: int | None = None
    ) -> None:
        """Ingest files as they come; ``total`` is how many, for the display of progress."""
        before = len(self._report.ingested)
        progress: AbstractContextManager[ProgressBar[None]]
        progress = Progress(__name__).bar(desc="Ingesting", total=total, skip_scalar=False)
        with progress as bar:
            for batch in batches(self._without_moved(planned), self._report, size=batch_size):
                for done in self.ingest(batch) if batch else [1]:
                    bar.update(done)
        new = len(self._report.ingested) - before
        if new >= MANY or (new and lacks_statistics(self._butler)):
            update_statistics(self._butler)

    def _without_moved(self, planned: Iterable[PlannedFile | FailedFile]) -> Iterator[PlannedFile | FailedFile]:
        """Yield the files on, without those that an earlier move has brought in, which was killed before it said so."""
        for file in planned:
            if self._transfer != "move" or not isinstance(file, FailedFile):
                yield file
            elif (ref := moved_before(self._butler, file)) is not None:
                self._report.skipped.append(ref)
            elif isinstance(file, EmptyFolder):
                self._report.warn([f"{file} Nothing is left to be moved."])
            else:
                yield file

    def ingest(self, batch: Sequence[PlannedFile]) -> Iterator[int]:
        """Ingest files of one run and release; yield from time to time how many more are finished."""
        name, release = batch[0].name, batch[0].release
        retry(lambda: ensure_run(self._butler, name, release))
        found = compare(self._butler, self._dataset_type, batch, update_records=self._update_records)
        self._report.failed += found.failed
        self._report.warn(found.warnings)
        known = self._updated(found.known) if self._update_records else found.known
        self._report.skipped.extend([*(ref for _, ref, _ in known), *found.repeated])
        if self._transfer == "move":
            self._finish_moves(known)
        yield len(batch) - len(found.new)
        for arrivals, done in self._place_all(found.new):
            split_on_failure(arrivals, self._register, self._give_up)
            yield done
        self._update(found.contradicting)

    def _updated(self, known: Sequence[_Known]) -> list[_Known]:
        """Update the records of files that the repository has; return those where that went well."""
        done: list[_Known] = []

        def update(files: Sequence[_Known]) -> None:
            self._update([file.description for file, _, _ in files])
            done.extend(files)

        split_on_failure(known, update, lambda known, error: self._fail(known[0], error))
        return done

    def _update(self, images: Sequence[ImageDescription]) -> None:
        self._report.updated += retry(lambda: update_exposures(self._repository, images))

    def _finish_moves(self, known: Sequence[_Known]) -> None:
        """Remove the sources of moves that were interrupted after the registration."""
        moved = [
            PlacedFile(source, ref, there, moved=True)
            for file, ref, there in known
            if has_own_copy(self._repository, source := ResourcePath(file.uri), there)
        ]
        self._report.warn(remove_moved_sources(moved))

    def _place_all(self, files: Sequence[tuple[PlannedFile, DatasetRef]]) -> Iterator[tuple[list[_Arrival], int]]:
        """Place files, outside of any transaction: copying takes its time, and others want to write.

        Yields from time to time those placed, and how many that took.
        """
        arrivals: list[_Arrival] = []
        last, begun = 0, time.monotonic()
        for number, (file, ref) in enumerate(files, start=1):
            with one_item(partial(self._note_unplaced, file, ref)):
                arrivals.append(self._place(file, ref))
            if number == len(files) or time.monotonic() - begun > self._patience:
                yield arrivals, number - last
                arrivals, last, begun = [], number, time.monotonic()

    def _place(self, file: PlannedFile, ref: DatasetRef) -> _Arrival:
        source = ResourcePath(file.uri)
        if self._transfer == "direct":  # for which the dimension records that make a file's name are not needed
            placed = PlacedFile(source, ref, source)
            return Arrival(file, placed, self._records.outside(ref, source, size=file.size))
        expanded = ref.expanded(data_id_with_records(self._repository, file.description))
        placed = place_file(self._repository, source, expanded, transfer=self._transfer, size=file.size)
        return Arrival(file, placed, self._records.inside(expanded, placed.uri, size=file.size))

    def _note_unplaced(self, file: PlannedFile, ref: DatasetRef, error: Exception) -> None:
        """Report a file that was not placed: as skipped if another process has moved it into the repository."""
        if isinstance(error, FileNotFoundError) and known_ids(self._butler, [ref]):
            self._report.skipped.append(ref)
        else:
            self._fail(file, error)

    def _register(self, arrivals: Sequence[_Arrival]) -> None:
        described = {arrival.placed.ref: arrival.file.description for arrival in arrivals}
        new = register(
            self._butler,
            {arrival.placed.ref: [arrival.record] for arrival in arrivals},
            insert_records=lambda refs: insert_exposures(self._butler, [described[ref] for ref in refs]),
            stated={ref.id: description.stated for ref, description in described.items()},
        )
        self._report.ingested.extend(ref for ref in described if ref.id in new)
        self._report.skipped.extend(ref for ref in described if ref.id not in new)
        self._report.warn(remove_moved_sources(arrival.placed for arrival in arrivals))
        for arrival in arrivals:
            placed = arrival.placed
            remember_distortion(self._butler, placed.ref, partial(distortion_in, placed.uri, arrival.file.size))

    def _give_up(self, arrival: _Arrival, error: Exception) -> None:
        self._fail(arrival.file, error)

    def _fail(self, file: PlannedFile, error: Exception) -> None:
        self._report.failed.append(FailedFile.by(file.uri, error))

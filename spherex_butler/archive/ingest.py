"""How archive tables are ingested: images are registered at the archive's own addresses, without one request."""

from __future__ import annotations

__all__ = ("ingest_archive_table",)

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.daf.butler.progress import Progress, ProgressBar
from lsst.sphgeom import Pixelization

from ..arguments import require_number
from ..constants import DATASET_TYPE
from ..files.failures import FailedFile
from ..ingest.contradictions import contradictions, known_records, require_no_contradiction
from ..ingest.plan import PlannedFile
from ..ingest.processes import in_another_process
from ..repository.butler_internals import MANY, fast_writing, insert_regions, lacks_statistics, update_statistics
from ..repository.contention import retry, split_on_failure
from ..repository.exposures import RegionInserter, insert_exposures, sky_pixels, sky_region
from ..repository.failures import one_item, told_as_repository_failures
from ..repository.image_refs import image_ref
from ..repository.opened import check_opened
from ..repository.registration import FileRecords, known_ids, register, stored_files
from ..repository.reports import IngestReport
from ..repository.runs import ensure_run
from ..summaries import number_of
from .tables import ArchiveBatch, ArchiveTable, count_rows, read_archive_table


@told_as_repository_failures(writes=True)
def ingest_archive_table(
    butler: Butler,
    table: ArchiveTable,
    *,
    access: str = "irsa",
    allow_hosts: Iterable[str] = (),
    release: str | None = None,
    processes: int = 1,
    report: IngestReport | None = None,
) -> IngestReport:
    """Register the images of an archive table where they are.

    Nothing is downloaded and no request made: regions come from ``s_region``,
    times from ``t_min`` and ``t_max``.  A later ``get`` reads by byte range.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    table
        The path of a VOTable, CSV, ECSV or Parquet file, a table, or several
        tables: an answer of the archive's SIA2 service, or of its TAP service
        with ``spherex.plane`` and ``spherex.artifact``.
    access
        Where images are read: ``irsa``, at the address in the table; ``aws``,
        in the archive's bucket; or the folder or the ``file://``, ``s3://`` or
        ``https://`` URL that a copy of the archive's tree lies under.
    allow_hosts
        Other hosts than the archive's (``mirror.example.org``, or with a port)
        on which the addresses of ``irsa`` may be. A table tells a program what
        to read, so that rows with any other host fail.
    release
        The images' release; by default as their addresses tell.
    processes
        With two, another process reads the table and finds the pixels of
        regions, which makes it twice as fast.  A script that calls this then
        needs the usual guard ``if __name__ == "__main__":``.
    report
        A report to add to, which holds what was done also if the call is interrupted.

    Returns
    -------
    report
        What became of each row.  A row that cannot be ingested does not stop the others.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only or not a SPHEREx repository, or if the process that reads the table
        ends.
    FormatError
        Raised if the file is not a table, lacks columns, or gives DataLinks
        instead of addresses.
    ParameterError
        Raised if an option has no meaning.
    RepositoryError
        Raised if the repository itself fails. A ``report`` that was given holds what was done before.

    Notes
    -----
    A batch of rows is one transaction, and dataset ids follow from data ID,
    dataset type and run: the same call finishes an ingest that was interrupted.
    """
    dataset_type = check_opened(butler).dataset_type(DATASET_TYPE)
    require_number("processes", processes, most=2)
    pixelization = butler.dimensions.commonSkyPix.pixelization if processes > 1 else None
    arguments: tuple[Any, ...] = (table, access, tuple(allow_hosts), release, pixelization)
    batches = in_another_process(_prepare, *arguments) if processes > 1 else _prepare(*arguments)
    report = IngestReport.of_images() if report is None else report
    before = len(report.ingested)
    registration = _Registration(butler, dataset_type, report)
    progress: AbstractContextManager[ProgressBar[None]]
    progress = Progress(__name__).bar(desc="Registering", total=count_rows(table))
    try:
        with fast_writing(butler), progress as bar:
            for batch, pixels in batches:
                report.failed += batch.failed
                registration.register(batch.planned, pixels)
                bar.update(len(batch))
    finally:
        registration.warn()
    new = len(report.ingested) - before
    if new >= MANY or (new and lacks_statistics(butler)):
        update_statistics(butler)
    return report


_Pixels = dict[tuple[int, int], list[int]]
"""The pixels of the sky that an image overlaps, by exposure and detector."""


def _prepare(
    table: ArchiveTable,
    access: str,
    allow_hosts: Sequence[str],
    release: str | None,
    pixelization: Pixelization | None,
) -> Iterator[tuple[ArchiveBatch, _Pixels | None]]:
    """Yield batches of images, with their pixels if there is a pixelization."""
    for batch in read_archive_table(table, access=access, allow_hosts=allow_hosts, release=release):
        yield batch, None if pixelization is None else _pixels(pixelization, batch.planned)


def _pixels(pixelization: Pixelization, files: Sequence[PlannedFile]) -> _Pixels:
    # Of several processings the first has the region that is registered; see insert_exposures.
    images = [file.description for file in reversed(files)]
    first = {(image.observation.exposure_id, image.detector): image.corners for image in images}
    found: _Pixels = {}
    for key, corners in first.items():
        if corners is not None:
            # Corners that make no region are reported where the region is registered.
            with suppress(Exception):
                found[key] = sky_pixels(pixelization, sky_region(corners))
    return found


_Image = tuple[DatasetRef, PlannedFile]
_REMEDY = "'butler spherex ingest --update-records' with its URL replaces what is on record"


@dataclass(slots=True)
class _Registration:
    """The images of one table on their way into a repository."""

    butler: Butler
    dataset_type: DatasetType
    report: IngestReport
    runs: set[tuple[str, str]] = field(default_factory=set)
    elsewhere: int = 0
    example: str = ""

    def register(self, files: Sequence[PlannedFile], pixels: _Pixels | None) -> None:
        """Register what the repository lacks of a batch."""
        for key, file in {(file.name.run, file.release): file for file in files}.items():
            if key not in self.runs:
                with one_item(partial(self._fail_run, files, key)):
                    retry(partial(ensure_run, self.butler, file.name, file.release))
                    self.report.warn([] if file.doubt is None else [file.doubt])
                    self.runs.add(key)
        insert = None if pixels is None else partial(insert_regions, pixels=pixels)
        split_on_failure(
            self._wanted([file for file in files if (file.name.run, file.release) in self.runs]),
            partial(self._register_together, insert=insert),
            lambda image, error: self.report.failed.append(FailedFile.by(image[1].uri, error)),
        )

    def _fail_run(self, files: Sequence[PlannedFile], key: tuple[str, str], error: Exception) -> None:
        self.report.failed += [FailedFile.by(file.uri, error) for file in files if (file.name.run, file.release) == key]

    def _wanted(self, files: Sequence[PlannedFile]) -> list[_Image]:
        """Return the images of files, each once, and report files that are the same image."""
        wanted: dict[uuid.UUID, _Image] = {}
        for file in files:
            ref = image_ref(self.dataset_type, file.name.run, file.data_id["exposure"], file.data_id["detector"])
            first = wanted.setdefault(ref.id, (ref, file))[1]
            if first.uri != file.uri:
                reason = f"{first.uri!r} of the same table is the same image of the same run."
                self.report.failed.append(FailedFile(file.uri, reason))
        return self._agreeing(list(wanted.values()))

    def _agreeing(self, images: list[_Image]) -> list[_Image]:
        """Return the images without those new ones that contradict what is on record, or one another."""
        there = retry(lambda: known_ids(self.butler, [ref for ref, _ in images]))
        exposures = {file.description.observation.exposure_id for ref, file in images if ref.id not in there}
        known = retry(lambda: known_records(self.butler, exposures))
        agreeing = []
        for ref, file in images:
            with one_item(FailedFile.noted(self.report.failed, file.uri)):
                if ref.id not in there:
                    said = contradictions(file.description, known)
                    require_no_contradiction(said, remedy=_REMEDY)
                    self.report.warn(f"{file.uri}: {one}; what is on record stays, but {_REMEDY}." for one in said)
                    known.add(file.description)
                agreeing.append((ref, file))
        return agreeing

    def _register_together(self, images: Sequence[_Image], insert: RegionInserter | None) -> None:
        """Register the images that are not there yet."""
        described = {ref: file.description for ref, file in images}
        records = FileRecords(self.butler)
        new = register(
            self.butler,
            {ref: [records.at_address(ref, file.uri)] for ref, file in images},
            insert_records=lambda refs: insert_exposures(
                self.butler, [described[ref] for ref in refs], insert_regions=insert
            ),
            stated={ref.id: file.description.stated for ref, file in images},
        )
        self.report.ingested.extend(ref for ref, _ in images if ref.id in new)
        self._skip([image for image in images if image[0].id not in new])

    def _skip(self, images: Sequence[_Image]) -> None:
        self.report.skipped.extend(ref for ref, _ in images)
        stored = stored_files(self.butler, [ref for ref, _ in images]) if images else {}
        for ref, file in images:
            paths = [info.path for info in stored.get(ref.id, ())]
            if file.uri not in paths:
                self.elsewhere += 1
                self.example = f"{paths} instead of {file.uri!r}"

    def warn(self) -> None:
        """Warn of images that the repository has at another address than the table."""
        if self.elsewhere:
            are, they = ("is", "it is") if self.elsewhere == 1 else ("are", "they are")
            warning = (
                f"{number_of(self.elsewhere, 'image')} {are} there already, but elsewhere, such as {self.example}; "
                f"{they} read from where {they}."
            )
            self.report.warn([warning])

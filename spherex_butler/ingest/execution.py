"""Files into a repository: headers read ahead by `.ingest.plan`, exposures and datasets registered in batches."""

from __future__ import annotations

__all__ = ("FailedFile", "IngestReport", "PlannedFile", "execute", "ingest_files", "plan_files")

from collections.abc import Iterable, Iterator
from contextlib import closing

from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress, ProgressBar

from ..files.failures import FailedFile
from ..files.paths import Paths
from ..files.placement import require_transfer
from ..repository.bulk_registration import MANY, update_statistics
from ..repository.exposures import require_ready
from ..repository.reports import IngestReport
from ..repository.runs import chain_of
from .batches import ImageBatches
from .grouping import batches
from .plan import PlannedFile, find_images, plan_files, read_plans

_BATCH = 500  # files that are looked up, and registered, together


def ingest_files(
    butler: Butler,
    paths: Paths,
    *,
    transfer: str = "auto",
    processes: int = 1,
    release: str | None = None,
    update_records: bool = False,
    report: IngestReport | None = None,
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
        How many processes read headers, or threads those of URLs.  With more
        than one a script that calls this needs the usual guard
        ``if __name__ == "__main__":``.
    release
        The release the files belong to; by default as their path or
        processing version tells.
    update_records
        Whether what the headers say replaces the exposures and regions of
        datasets that are there already.
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
        Raised if the repository is read-only or no SPHEREx repository.
    ParameterError
        Raised if a transfer mode or a release does not exist, or a path is empty.

    Notes
    -----
    Dataset ids follow from data ID, dataset type and run, so a second call
    skips what is there.  The first detector of an exposure to arrive decides
    its record; those of the others differ by a millisecond.

    Headers are read while others are registered, and forgotten when they are:
    memory does not grow with the number of files but for 30 bytes each, and
    what is said of those that failed.
    """
    require_ready(butler)
    require_transfer(transfer)
    if release is not None:
        chain_of(release)
    total = _count(paths) if Progress(__name__).is_enabled() else None
    with closing(read_plans(paths, processes=processes, release=release)) as plans:
        return execute(butler, plans, transfer=transfer, update_records=update_records, report=report, total=total)


def execute(
    butler: Butler,
    planned: Iterable[PlannedFile | FailedFile],
    *,
    transfer: str = "auto",
    update_records: bool = False,
    report: IngestReport | None = None,
    total: int | None = None,
) -> IngestReport:
    """Ingest planned files, in one transaction a batch.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    planned
        What `plan_files` returned, or `~.ingest.plan.read_plans` yields.
    transfer, update_records, report
        As for `ingest_files`.
    total
        How many files there are, for the display of progress.

    Returns
    -------
    report
        What became of each file.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only or no SPHEREx repository.
    """
    require_ready(butler)
    report = IngestReport.of_images() if report is None else report
    images = ImageBatches(butler, transfer, report, update_records=update_records)
    before = len(report.ingested)
    bar: ProgressBar[None]
    with Progress(__name__).bar(desc="Ingesting", total=total, skip_scalar=False) as bar:
        for size, batch in batches(planned, _BATCH, report):
            for done in images.ingest(batch) if batch else [size]:
                bar.update(done)
    if len(report.ingested) - before >= MANY:
        update_statistics(butler)
    return report


def _count(paths: Paths) -> int | None:
    """Return how many files there will be; `None` if paths can be gone through only once."""
    return None if isinstance(paths, Iterator) else sum(1 for _ in find_images(paths))

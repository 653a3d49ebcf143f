"""What an ingest would do: counted by run, with what stands in its way, and nothing changed."""

from __future__ import annotations

__all__ = ("IngestPreview", "RunPreview", "preview_ingest")

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress, ProgressBar
from lsst.resources import ResourcePath

from ..arguments import require_number
from ..constants import DATASET_TYPE
from ..files.failures import EmptyFolder, FailedFile
from ..files.paths import Paths
from ..files.placement import TransferMode, require_transfer
from ..files.sameness import require_same_bytes
from ..repository.exposures import data_id_with_records
from ..repository.failures import one_item, told_as_repository_failures
from ..repository.opened import OpenedRepository, check_opened
from ..repository.placed_files import moved_before, planned_place
from ..repository.reports import Report
from ..repository.runs import chain_of
from .comparison import Comparison, compare
from .plan import PlannedFile
from .reading_ahead import BATCH_SIZE, batches, read_plans


@dataclass(slots=True)
class RunPreview:
    """What is to become of the files of one run.

    Parameters
    ----------
    release, run
        Where they belong.
    ingested
        How many would be ingested.
    skipped
        How many are there already.
    """

    release: str
    run: str
    ingested: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.release} {self.run}: {self.ingested} to ingest, {self.skipped} already there"


@dataclass(slots=True, kw_only=True, repr=False)
class IngestPreview(Report[FailedFile]):
    """What an ingest would do.

    Parameters
    ----------
    failed
        Files that could not be ingested, with reasons.
    warnings
        What is odd about other files.
    runs
        By release and run.
    """

    runs: dict[tuple[str, str], RunPreview] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The counts, by run and altogether."""
        runs = self.runs.values()
        ingested, skipped = sum(run.ingested for run in runs), sum(run.skipped for run in runs)
        total = f"{ingested} to ingest, {skipped} already there, {len(self.failed)} would fail; nothing was changed"
        return "\n".join([*map(str, runs), total])

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {"runs": [asdict(run) for run in self.runs.values()], **Report.to_dict(self)}


@told_as_repository_failures()
def preview_ingest(
    butler: Butler,
    paths: Paths,
    *,
    transfer: TransferMode = "auto",
    processes: int = 1,
    release: str | None = None,
    update_records: bool = False,
    batch_size: int = BATCH_SIZE,
) -> IngestPreview:
    """Return what `~.ingest.execution.ingest_files` would do with the same arguments; nothing is changed.

    Parameters
    ----------
    butler
        A SPHEREx repository, which may be read-only.
    paths, transfer, processes, release, update_records, batch_size
        As for `~.ingest.execution.ingest_files`.

    Returns
    -------
    preview
        What would become of the files.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository.
    ParameterError
        Raised if a transfer mode or a release does not exist, or a path is empty.
    """
    repository = check_opened(butler, writeable=False)
    require_number("batch_size", batch_size)
    preview = _Preview(repository, transfer, update_records=update_records)
    require_transfer(transfer)
    if release is not None:
        chain_of(release)
    bar: ProgressBar[None]
    with (
        closing(read_plans(paths, processes=processes, release=release)) as plans,
        Progress(__name__).bar(desc="Looking", skip_scalar=False) as bar,
    ):
        for batch in batches(preview.without_moved(plans), preview.found, size=batch_size):
            if batch:
                preview.add(batch)
            bar.update(len(batch) or 1)
    return preview.found


class _Preview:
    """The preview of batches, each of one run and release."""

    def __init__(self, repository: OpenedRepository, transfer: str, *, update_records: bool) -> None:
        self.found = IngestPreview()
        self._dataset_type = repository.dataset_type(DATASET_TYPE)
        self._repository = repository
        self._transfer = transfer
        self._update_records = update_records
        self._seen: set[bytes] = set()

    def without_moved(self, planned: Iterable[PlannedFile | FailedFile]) -> Iterator[PlannedFile | FailedFile]:
        """Yield the files on, without those that an earlier move has brought in."""
        for file in planned:
            if self._transfer != "move" or not isinstance(file, FailedFile):
                yield file
            elif (ref := moved_before(self._repository.butler, file)) is not None:
                self.found.warn([f"{file.uri}: was moved before; it is {ref.dataId} in {ref.run!r}."])
            elif isinstance(file, EmptyFolder):
                self.found.warn([f"{file} Nothing is left to be moved."])
            else:
                yield file

    def add(self, batch: Sequence[PlannedFile]) -> None:
        """Look up what would become of files."""
        key = batch[0].release, batch[0].name.run
        run = self.found.runs.setdefault(key, RunPreview(*key))
        found = compare(self._repository.butler, self._dataset_type, batch, update_records=self._update_records)
        self.found.failed += found.failed
        self.found.warn(found.warnings)
        failed = self._failures(found)
        self.found.failed += failed
        ids = {ref.id.bytes for _, ref in found.new}
        again = len(ids & self._seen)
        self._seen |= ids
        run.ingested += len(found.new) - again - len(failed)
        run.skipped += len(found.known) + len(found.repeated) + again

    def _failures(self, found: Comparison) -> list[FailedFile]:
        """Return the new files that could not be placed, as far as that is seen without a request."""
        failed: list[FailedFile] = []
        for file, ref in found.new:
            with one_item(FailedFile.noted(failed, file.uri)):
                source = ResourcePath(file.uri)
                expanded = ref.expanded(data_id_with_records(self._repository, file.description))
                placed, mode = planned_place(self._repository, source, expanded, transfer=self._transfer)
                if mode is not None and placed.uri.isLocal and placed.uri.exists():
                    require_same_bytes(source, placed.uri)
        return failed

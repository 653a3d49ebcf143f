"""What an ingest would do: counted by run, with what stands in its way, and nothing changed."""

from __future__ import annotations

__all__ = ("IngestPreview", "RunPreview", "preview_ingest")

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from lsst.daf.butler import Butler, DatasetType
from lsst.daf.butler.progress import Progress, ProgressBar
from lsst.resources import ResourcePath

from ..errors import reason_of
from ..files.failures import FailedFile
from ..files.paths import Paths
from ..files.placement import require_same, require_transfer
from ..repository.arrivals import INGEST_ERRORS, foresee
from ..repository.exposures import data_id_with_records, instrument_records, require_ready
from ..repository.runs import chain_of
from .batches import SortedBatch, sort_out
from .grouping import batches
from .plan import PlannedFile, read_plans


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


@dataclass(slots=True)
class IngestPreview:
    """What an ingest would do.

    Parameters
    ----------
    runs
        By release and run.
    failed
        Files that could not be ingested, with reasons.
    warnings
        What is odd about others.
    """

    runs: dict[tuple[str, str], RunPreview] = field(default_factory=dict)
    failed: list[FailedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def details(self) -> list[str]:
        """Warnings and failures, a line each."""
        return [*self.warnings, *map(str, self.failed)]

    @property
    def summary(self) -> str:
        """The counts, by run and altogether."""
        runs = self.runs.values()
        ingested, skipped = sum(run.ingested for run in runs), sum(run.skipped for run in runs)
        total = f"{ingested} to ingest, {skipped} already there, {len(self.failed)} would fail; nothing was changed"
        return "\n".join([*map(str, runs), total])

    def __str__(self) -> str:
        return "\n".join([*self.details, self.summary])

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {
            "runs": [asdict(run) for run in self.runs.values()],
            "failed": [asdict(file) for file in self.failed],
            "warnings": list(self.warnings),
        }


def preview_ingest(
    butler: Butler, paths: Paths, *, transfer: str = "auto", processes: int = 1, release: str | None = None
) -> IngestPreview:
    """Return what `~.ingest.execution.ingest_files` would do with the same arguments; nothing is changed.

    Parameters
    ----------
    butler
        A SPHEREx repository, which may be read-only.
    paths, transfer, processes, release
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
    dataset_type = require_ready(butler, writeable=False)
    require_transfer(transfer)
    if release is not None:
        chain_of(release)
    preview = _Preview(butler, dataset_type, transfer)
    bar: ProgressBar[None]
    with (
        closing(read_plans(paths, processes=processes, release=release)) as plans,
        Progress(__name__).bar(desc="Looking", skip_scalar=False) as bar,
    ):
        for size, batch in batches(plans, _BATCH, preview.found):
            if batch:
                preview.add(batch)
            bar.update(size)
    return preview.found


_BATCH = 500  # files that are looked up together


class _Preview:
    """The preview of batches, each of one run and release."""

    def __init__(self, butler: Butler, dataset_type: DatasetType, transfer: str) -> None:
        self.found = IngestPreview()
        self._butler = butler
        self._dataset_type = dataset_type
        self._transfer = transfer
        self._registered = instrument_records(butler)
        self._seen: set[bytes] = set()

    def add(self, batch: Sequence[PlannedFile]) -> None:
        """Look up what would become of files."""
        key = batch[0].release, batch[0].name.run
        run = self.found.runs.setdefault(key, RunPreview(*key))
        found = sort_out(self._butler, self._dataset_type, batch)
        self.found.failed += found.failed
        failed = self._failures(found)
        self.found.failed += failed
        ids = {ref.id.bytes for _, ref in found.new}
        again = len(ids & self._seen)
        self._seen |= ids
        run.ingested += len(found.new) - again - len(failed)
        run.skipped += len(found.known) + len(found.repeated) + again

    def _failures(self, found: SortedBatch) -> list[FailedFile]:
        """Return the new files that could not be placed, as far as can be seen without a request."""
        failed = []
        for file, ref in found.new:
            source = ResourcePath(file.uri)
            try:
                expanded = ref.expanded(data_id_with_records(self._butler, file.description, self._registered))
                arrival, mode = foresee(self._butler, source, expanded, transfer=self._transfer)
                if mode is not None and arrival.uri.isLocal and arrival.uri.exists():
                    require_same(source, arrival.uri)
            except INGEST_ERRORS as error:
                failed.append(FailedFile(file.uri, reason_of(error)))
        return failed

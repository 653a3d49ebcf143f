"""Batches of planned files into a repository: sorted out, placed, and registered in one transaction each."""

from __future__ import annotations

__all__ = ("ImageBatches", "SortedBatch", "sort_out")

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.resources import ResourcePath

from ..errors import reason_of
from ..files.failures import FailedFile
from ..files.placement import is_same
from ..files.sameness import difference
from ..repository.arrivals import INGEST_ERRORS, Arrival, bring_in, datastore_root, remove_sources
from ..repository.bulk_registration import known_ids
from ..repository.contention import in_halves, patiently
from ..repository.exposures import data_id_with_records, insert_exposures, instrument_records, require_ready
from ..repository.file_registration import register_files
from ..repository.image_refs import image_ref
from ..repository.reports import IngestReport
from ..repository.runs import ensure_run
from ..repository.stored_records import artifact_uri, stored_files
from .plan import PlannedFile
from .record_updates import update_exposures

_PATIENCE = 5.0  # seconds of placing after which files are registered

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class SortedBatch:
    """Files of one run, by what is to become of them.

    Parameters
    ----------
    new
        Files whose images the repository lacks, one for each, with their datasets.
    known
        Files whose images it has, with their datasets and the repository's files.
    repeated
        Datasets of files that come twice, by different paths.
    failed
        Files that are others than the repository has, or than one of the same call.
    """

    new: list[tuple[PlannedFile, DatasetRef]] = field(default_factory=list)
    known: list[tuple[PlannedFile, DatasetRef, ResourcePath]] = field(default_factory=list)
    repeated: list[DatasetRef] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)


def sort_out(butler: Butler, dataset_type: DatasetType, batch: Sequence[PlannedFile]) -> SortedBatch:
    """Look up which files of a batch, all of one run, the repository has; nothing is changed."""
    refs = [
        image_ref(dataset_type, file.name.run, file.description.observation.exposure_id, file.description.detector)
        for file in batch
    ]
    stored = patiently(lambda: stored_files(butler, refs))
    found, first = SortedBatch(), dict[uuid.UUID, PlannedFile]()
    for file, ref in zip(batch, refs, strict=True):
        try:
            if ref.id in stored:
                record = stored[ref.id][0]
                _sort_known(file, ref, artifact_uri(butler, record), record.file_size, found)
            elif ref.id in first:
                _sort_repeated(file, ref, first[ref.id], found)
            else:
                first[ref.id] = file
                found.new.append((file, ref))
        except OSError as error:  # of a file that may not be read, to compare it
            found.failed.append(FailedFile(file.uri, reason_of(error)))
    return found


def _sort_known(file: PlannedFile, ref: DatasetRef, there: ResourcePath, size: int, found: SortedBatch) -> None:
    if there.isLocal and not there.exists():
        reason = f"the repository's file {str(there)!r} is gone; remove its dataset with 'butler prune-datasets' first."
    elif (other := difference(ResourcePath(file.uri), file.size, there, None if size < 0 else size)) is not None:
        reason = f"the repository has {str(there)!r} for this image and run, {other}; nothing was changed."
    else:
        found.known.append((file, ref, there))
        return
    found.failed.append(FailedFile(file.uri, reason))


def _sort_repeated(file: PlannedFile, ref: DatasetRef, first: PlannedFile, found: SortedBatch) -> None:
    """Sort a second file of one image."""
    other = difference(ResourcePath(file.uri), file.size, ResourcePath(first.uri), first.size)
    if other is None:
        found.repeated.append(ref)
    else:
        reason = f"{first.uri!r} of the same call is the same image of the same run, {other}."
        found.failed.append(FailedFile(file.uri, reason))


class ImageBatches:
    """The ingest of batches, each of one run and release.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    transfer
        One of `.files.placement.TRANSFER_MODES`.
    report
        What becomes of files is added to it.
    update_records
        Whether headers replace the records of images that are there.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only or no SPHEREx repository.
    """

    def __init__(self, butler: Butler, transfer: str, report: IngestReport, *, update_records: bool = False) -> None:
        self._dataset_type = require_ready(butler)
        self._registered = instrument_records(butler)
        self._butler = butler
        self._transfer = transfer
        self._report = report
        self._update_records = update_records

    def ingest(self, batch: Sequence[PlannedFile]) -> Iterator[int]:
        """Ingest files of one run and release; yield from time to time how many more were done with."""
        name, release = batch[0].name, batch[0].release
        patiently(lambda: ensure_run(self._butler, name, release))
        found = sort_out(self._butler, self._dataset_type, batch)
        self._report.failed += found.failed
        self._report.skipped.extend([*(ref for _, ref, _ in found.known), *found.repeated])
        if self._update_records:
            self._update([file for file, _, _ in found.known])
        if self._transfer == "move":
            self._finish_moves(found)
        yield len(batch) - len(found.new)
        for arrivals, done in self._bring_in(found.new):
            self._register(arrivals)
            yield done

    def _bring_in(
        self, files: Sequence[tuple[PlannedFile, DatasetRef]]
    ) -> Iterator[tuple[list[tuple[PlannedFile, Arrival]], int]]:
        """Place files, outside of any transaction: copying takes its time, and others want to write.

        Yields those placed, of how many, from time to time: what a kill leaves
        placed and not registered has to be compared with its source again.
        """
        arrivals: list[tuple[PlannedFile, Arrival]] = []
        last, begun = 0, time.monotonic()
        for number, (file, ref) in enumerate(files, start=1):
            try:
                arrivals.append((file, self._arrival(file, ref)))
            except FileNotFoundError as error:
                self._note_vanished(file, ref, error)
            except INGEST_ERRORS as error:
                self._report.failed.append(FailedFile(file.uri, reason_of(error)))
            if number == len(files) or time.monotonic() - begun > _PATIENCE:
                yield arrivals, number - last
                arrivals, last, begun = [], number, time.monotonic()

    def _note_vanished(self, file: PlannedFile, ref: DatasetRef, error: FileNotFoundError) -> None:
        """Report a file that is gone: there already if another process has moved it in meanwhile."""
        if known_ids(self._butler, [ref]):
            self._report.skipped.append(ref)
        else:
            self._report.failed.append(FailedFile(file.uri, reason_of(error)))

    def _arrival(self, file: PlannedFile, ref: DatasetRef) -> Arrival:
        source = ResourcePath(file.uri)
        if self._transfer == "direct":  # for which the records that make a file's name are not needed
            return Arrival(source, ref, source, "direct", moved=False)
        expanded = ref.expanded(data_id_with_records(self._butler, file.description, self._registered))
        return bring_in(self._butler, source, expanded, transfer=self._transfer)

    def _register(self, arrivals: Sequence[tuple[PlannedFile, Arrival]]) -> None:
        in_halves(arrivals, self._register_together, self._give_up)

    def _give_up(self, arrival: tuple[PlannedFile, Arrival], error: Exception) -> None:
        self._report.failed.append(FailedFile(arrival[0].uri, reason_of(error)))

    def _register_together(self, arrivals: Sequence[tuple[PlannedFile, Arrival]]) -> None:
        with self._butler.transaction():
            insert_exposures(self._butler, [file.description for file, _ in arrivals])
            new = register_files(self._butler, [(arrival, file.size) for file, arrival in arrivals])
        self._finish([arrival for _, arrival in arrivals], new)

    def _finish(self, arrivals: Sequence[Arrival], new: set[uuid.UUID]) -> None:
        self._report.ingested.extend(arrival.ref for arrival in arrivals if arrival.ref.id in new)
        self._report.skipped.extend(arrival.ref for arrival in arrivals if arrival.ref.id not in new)
        self._warn(remove_sources(arrivals))

    def _finish_moves(self, found: SortedBatch) -> None:
        """Remove the sources of moves that were interrupted after the registration."""
        arrivals = [
            Arrival(source, ref, there, None, moved=True)
            for file, ref, there in found.known
            if (source := ResourcePath(file.uri)) != there and self._is_own(source, there)
        ]
        self._warn(remove_sources(arrivals))

    def _is_own(self, source: ResourcePath, there: ResourcePath) -> bool:
        """Whether the repository has a file of its own with the same content, every byte of it."""
        try:
            return there.relative_to(datastore_root(self._butler)) is not None and is_same(source, there)
        except OSError:  # another process finished the move, or one of them may not be read
            return False

    def _update(self, files: Sequence[PlannedFile]) -> None:
        changed = patiently(lambda: update_exposures(self._butler, [file.description for file in files]))
        self._report.updated += changed

    def _warn(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            self._report.warnings.append(warning)
            _log.warning("%s", warning)

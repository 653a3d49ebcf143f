"""Datasets from one repository into another: files placed first, then records, datasets and files registered as one.

Butler's own `~lsst.daf.butler.Butler.transfer_from` overwrites what has a
file's place, and removes it again if its transaction fails, which is safe only
while nobody else writes there.
"""

from __future__ import annotations

__all__ = (
    "EXPORT_MODES",
    "ExportMode",
    "Transfer",
    "dataset_in",
    "ensure_dataset_type",
    "ensure_run_as_in",
    "require_two",
)

import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, DimensionRecord, MissingDatasetTypeError
from lsst.daf.butler.registry import ConflictingDefinitionError, MissingCollectionError
from lsst.resources import ResourcePath

from ..calibrations.runs import calibration_chain_of
from ..constants import DEFAULT_COLLECTION
from ..errors import ConfigurationError, FormatError, ParameterError, reason_of
from ..files.placement import place, resolve_transfer
from ..repository.butler_internals import StoredFile, have_same_registry
from ..repository.contention import retry, split_on_failure
from ..repository.distortions import DISTORTION, RUN
from ..repository.failures import one_item, writing_to
from ..repository.image_refs import dataset_text
from ..repository.opened import check_opened
from ..repository.registration import UNKNOWN_SIZE, artifact_uri, file_checksum, known_ids, register, stored_files
from ..repository.reports import FailedDataset
from ..repository.runs import chain_members, put_in_order, register_run, release_chains
from .records import Records, exposure_records, insert_missing_records

ExportMode: TypeAlias = Literal["auto", "copy", "link", "hardlink", "symlink", "relsymlink", "direct"]
"""One of Butler's ways to bring a file in; it stays in the source."""

EXPORT_MODES: tuple[ExportMode, ...] = get_args(ExportMode)
"""All of them."""

_REMEDY = "'butler spherex verify' of the source says what to do"


class Transfer:
    """The transfer of datasets, batch by batch; nothing is changed in the source.

    Parameters
    ----------
    source, target
        The repositories.
    mode
        How files come in.
    failed
        Where datasets that cannot be transferred are noted.
    dry_run
        Whether only to count.
    with_records
        Whether the dimension records of the datasets come along; otherwise the target has them.
    """

    def __init__(
        self,
        source: Butler,
        target: Butler,
        mode: str,
        failed: list[FailedDataset],
        *,
        dry_run: bool = False,
        with_records: bool = True,
    ) -> None:
        if mode not in EXPORT_MODES:
            raise ParameterError(
                f"Datasets are not transferred by {mode!r}; expected one of {', '.join(EXPORT_MODES)}."
            )
        check_opened(source, writeable=False)
        self._opened = check_opened(target, writeable=not dry_run, what="The target repository")
        self._source, self._target = source, target
        self._mode, self._failed, self._dry_run, self._with_records = mode, failed, dry_run, with_records

    def transfer(self, refs: Sequence[DatasetRef]) -> tuple[int, int]:
        """Transfer datasets of one type and run; return how many are new in the target, and how many were there."""
        known = known_ids(self._target, refs)
        known |= self._remembered(refs)
        new = [ref for ref in refs if ref.id not in known]
        if not new:
            return 0, len(known)
        stored = stored_files(self._source, new)
        if self._dry_run:
            return len(stored), len(known)
        retry(lambda: ensure_dataset_type(self._target, new[0].datasetType))
        retry(lambda: ensure_run_as_in(self._source, self._target, new[0].run))
        exposures = {ref.dataId["exposure"] for ref in new if "exposure" in ref.dimensions}
        records = exposure_records(self._source, self._target, exposures) if self._with_records else {}
        placed = self._place_all(new, stored, records)
        done = there = 0

        def register_some(some: Sequence[DatasetRef]) -> None:
            nonlocal done, there
            files = {ref: placed[ref] for ref in some}
            count = len(register(self._target, files, insert_records=lambda refs: self._insert_records(refs, records)))
            done, there = done + count, there + len(some) - count

        split_on_failure(list(placed), register_some, self._give_up)
        return done, len(known) + there

    def _remembered(self, refs: Sequence[DatasetRef]) -> set[uuid.UUID]:
        """Return the distortions of detectors of which the target remembers one: as good, from another header."""
        if not refs or refs[0].datasetType.name != DISTORTION or refs[0].run != RUN:
            return set()
        try:
            theirs = self._target.query_datasets(DISTORTION, RUN, find_first=False, explain=False)
        except (MissingDatasetTypeError, MissingCollectionError):
            return set()
        detectors = {ref.dataId["detector"] for ref in theirs}
        return {ref.id for ref in refs if ref.dataId["detector"] in detectors}

    def _place_all(
        self, refs: Sequence[DatasetRef], stored: Mapping[uuid.UUID, list[StoredFile]], records: Records
    ) -> dict[DatasetRef, list[StoredFile]]:
        """Put files where the target will read them; return what is to be on record of each dataset there."""
        placed: dict[DatasetRef, list[StoredFile]] = {}
        for ref in refs:
            with one_item(partial(self._give_up, ref)):
                ours = self._in_target(ref, records)
                placed[ours] = [self._place(ours, file) for file in _required(stored, ref)]
        return placed

    def _give_up(self, ref: DatasetRef, error: Exception) -> None:
        other = "the target has another dataset of this type and data ID in this run, which stays"
        reason = other if isinstance(error, ConflictingDefinitionError) else reason_of(error)
        self._failed.append(FailedDataset(dataset_text(ref), reason))

    def _in_target(self, ref: DatasetRef, records: Records) -> DatasetRef:
        """Return a dataset as the target has it, with the records that come along; names of files follow from them."""
        ours = dataset_in(self._target, ref)
        if not self._with_records:
            return ours
        known: dict[str, DimensionRecord | None] = {"instrument": self._opened.instrument}
        if "detector" in ours.dimensions:
            known["detector"] = self._opened.detectors[int(ours.dataId["detector"])]
        for element, found in records.items():
            names = self._target.dimensions[element].minimal_group.required
            known[element] = found.get(tuple(ours.dataId[name] for name in names))
        return ours.expanded(ours.dataId.expanded(known))

    def _place(self, ref: DatasetRef, file: StoredFile) -> StoredFile:
        """Put a file where the target will read it, and return how it is on record there."""
        uri = artifact_uri(self._source, file)
        outside = "://" in file.path
        if uri.isLocal:
            _require_size(uri, file)
        if outside and self._mode in {"auto", "direct"}:
            return file
        mode = resolve_transfer(self._mode, uri, self._opened.root)
        if mode == "direct":
            return file.update(path=str(uri))
        if outside:  # with its own extension, which may be another than the formatter's: .yml, .fits.gz
            known = ref if ref.dataId.hasRecords() else ref.expanded(self._target.registry.expandDataId(ref.dataId))
            place_in_target = self._target.getURI(known, predict=True).updatedExtension(uri.getExtension())
        else:
            place_in_target = artifact_uri(self._target, file)
        if (mode or "copy") == "copy":  # which reads all of it anyway
            _require_content(uri, file)
        with writing_to(place_in_target):
            place(uri, place_in_target, mode or "copy")
        # Never None, as predicted places are inside.
        return file.update(path=str(place_in_target.relative_to(self._opened.root))) if outside else file

    def _insert_records(self, refs: Collection[DatasetRef], records: Records) -> None:
        used = {
            element: {
                record.dataId.required_values: record
                for ref in refs
                if (record := ref.dataId.records[element]) is not None
            }
            for element in records
        }
        insert_missing_records(self._target, used)


def require_two(source: Butler, target: Butler) -> None:
    """Refuse a repository that is to be copied to itself: its reader and its writer would wait for each other."""
    if have_same_registry(source, target):
        raise ParameterError("The source is the target; expected two repositories.")


def dataset_in(target: Butler, ref: DatasetRef) -> DatasetRef:
    """Return a dataset as another repository has it: with its id, and that one's type and dimensions."""
    dataset_type = target.get_dataset_type(ref.datasetType.name)
    data_id = DataCoordinate.standardize(dict(ref.dataId.mapping), dimensions=dataset_type.dimensions)
    return DatasetRef(dataset_type, data_id, run=ref.run, id=ref.id)


def ensure_dataset_type(target: Butler, dataset_type: DatasetType) -> None:
    """Register a dataset type of another repository."""
    dimensions = target.dimensions.conform(dataset_type.dimensions.required)
    try:
        known = target.get_dataset_type(dataset_type.name)
    except MissingDatasetTypeError:
        wanted = DatasetType(
            dataset_type.name, dimensions, dataset_type.storageClass_name, isCalibration=dataset_type.isCalibration()
        )
        target.registry.registerDatasetType(wanted)
        return
    if (known.dimensions, known.isCalibration()) != (dimensions, dataset_type.isCalibration()):
        raise ConfigurationError(
            f"The target's dataset type is {known!r}; expected it as in the source, {dataset_type!r}."
        )


def ensure_run_as_in(source: Butler, target: Butler, run: str) -> None:
    """Register a run, and put it in those chains of releases that it is in elsewhere."""
    register_run(target, run, source.collections.get_info(run).doc or None)
    for chain in release_chains():
        if run in chain_members(source, chain):
            _ensure_member(target, chain, run)
            _ensure_member(target, DEFAULT_COLLECTION, chain)
        calibrations = calibration_chain_of(chain.rpartition("/")[2])
        if run in chain_members(source, calibrations):
            _ensure_member(target, calibrations, run)


def _ensure_member(target: Butler, chain: str, member: str) -> None:
    if member not in chain_members(target, chain):
        put_in_order(target, chain, member)


def _require_size(uri: ResourcePath, file: StoredFile) -> None:
    """Refuse a file that is not there, or was cut off or replaced since it is on record."""
    if uri.isLocal and not Path(uri.ospath).is_file():
        raise FormatError(f"the source's file {str(uri)!r} is not there; {_REMEDY}.")
    try:
        size = uri.size()
    except FileNotFoundError as error:
        raise FormatError(f"the source's file {str(uri)!r} is not there; {_REMEDY}.") from error
    if file.file_size not in {size, UNKNOWN_SIZE}:
        raise FormatError(
            f"the source's file {str(uri)!r} has {size} bytes, {file.file_size} are on record; {_REMEDY}."
        )


def _require_content(uri: ResourcePath, file: StoredFile) -> None:
    """Refuse a file of another size or checksum than is on record."""
    if not uri.isLocal:
        _require_size(uri, file)
    if file.checksum is None:
        return
    with uri.as_local() as local:
        checksum = file_checksum(local)
    if checksum != file.checksum:
        raise FormatError(
            f"the source's file {str(uri)!r} has the checksum {checksum}, {file.checksum} is on record; {_REMEDY}."
        )


def _required(stored: Mapping[uuid.UUID, list[StoredFile]], ref: DatasetRef) -> list[StoredFile]:
    if not stored.get(ref.id):
        raise FormatError("no file of it is on record in the source; 'butler spherex verify' lists such datasets.")
    return stored[ref.id]

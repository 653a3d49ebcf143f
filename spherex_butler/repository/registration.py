"""The one way to register datasets: many at once, with files that are in their places already.

`lsst.daf.butler.Butler.ingest` looks up every data ID, and asks for the
existence and size of files; see `.butler_internals`.
"""

from __future__ import annotations

__all__ = (
    "UNKNOWN_SIZE",
    "FileRecords",
    "artifact_uri",
    "file_checksum",
    "known_ids",
    "register",
    "stored_files",
    "stored_uri",
)

import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.resources import ResourcePath

from ..errors import ConfigurationError
from .butler_internals import StoredFile, file_datastore, import_datasets
from .live_obscore import Stated, complete_rows

UNKNOWN_SIZE = -1
"""What Butler writes for a file it did not look at, and then does not check."""

_log = logging.getLogger(__name__)


class FileRecords:
    """Makes the records of files for the datastore, as Butler itself would write them."""

    def __init__(self, butler: Butler) -> None:
        self._datastore = file_datastore(butler)
        self._formatters: dict[DatasetType, str] = {}

    def inside(self, ref: DatasetRef, uri: ResourcePath, *, size: int | None) -> StoredFile:
        """Return the record of a file inside the datastore, which is asked for its size if that is `None`."""
        path = self._datastore.locationFactory.fromPath(
            str(uri.relative_to(self._datastore.root)), trusted_path=True
        ).pathInStore.path
        return self._record(ref, path, uri.size() if size is None else size, self._checksum(uri))

    def outside(self, ref: DatasetRef, uri: ResourcePath, *, size: int | None) -> StoredFile:
        """Return the record of a file that stays where it is, by its absolute address."""
        return self._record(ref, str(uri), size, self._checksum(uri))

    def at_address(self, ref: DatasetRef, address: str) -> StoredFile:
        """Return the record of a file of which nothing is known but its absolute address."""
        return self._record(ref, address, None, None)

    def _checksum(self, uri: ResourcePath) -> str | None:
        return file_checksum(uri) if self._datastore.useChecksum and uri.isLocal else None

    def _record(self, ref: DatasetRef, path: str, size: int | None, checksum: str | None) -> StoredFile:
        kind = ref.datasetType
        if kind not in self._formatters:  # to be looked up once: that takes 40 µs
            formatter: Any = self._datastore.formatterFactory.getFormatterClass(ref)
            self._formatters[kind] = formatter.name()
        known = UNKNOWN_SIZE if size is None else size
        name = kind.storageClass_name
        return StoredFile(self._formatters[kind], path, None, None, checksum, known, storage_class_name=name)


def register(
    butler: Butler,
    files: Mapping[DatasetRef, Sequence[StoredFile]],
    *,
    insert_records: Callable[[Collection[DatasetRef]], None] | None = None,
    stated: Stated | None = None,
) -> set[uuid.UUID]:
    """Register datasets with their files, all of them in one transaction.

    Datasets that the datastore knows stay as they are; those that are being removed are an error. ``insert_records``
    inserts the dimension records of new datasets, in the order of ``files``. ``stated`` is what else is known of new
    datasets, for a live ObsCore table.
    """
    with butler.transaction():
        known = known_ids(butler, files)
        new = [ref for ref in files if ref.id not in known]
        if new:
            if insert_records is not None:
                insert_records(new)
            # In the order of their ids: those are hashes, so that in any other order
            # each row would touch pages of its own in all indexes of ids.
            placed = {ref: files[ref] for ref in sorted(new, key=lambda ref: ref.id.int)}
            import_datasets(butler, placed)
            complete_rows(butler, placed, stated or {})
    _log.debug("registered %d of %d datasets, such as %s", len(new), len(files), next(iter(files), None))
    return {ref.id for ref in new}


def known_ids(butler: Butler, refs: Iterable[DatasetRef]) -> set[uuid.UUID]:
    """Return the ids of the datasets that the datastore knows; their files are not looked at.

    A dataset that is being removed is an error: its remains would be taken for the dataset, and then deleted.
    """
    datastore = file_datastore(butler)
    recorded = {ref.id for ref, known in datastore.knows_these(refs).items() if known}
    if removed := recorded - set(datastore.bridge.check(recorded)):
        raise ConfigurationError(
            f"{len(removed)} datasets, such as {min(removed)}, are being removed by another process, or one that was "
            "killed; ingest when that is done, or finish it with Butler.from_config(REPO, writeable=True)"
            "._datastore.emptyTrash(), which deletes their files."
        )
    return recorded


def stored_files(butler: Butler, refs: Iterable[DatasetRef]) -> dict[uuid.UUID, list[StoredFile]]:
    """Return the files on record of datasets, by id; datasets without files, or being removed, are left out."""
    (data,) = file_datastore(butler).export_records(refs).values()
    return {
        identifier: [info for infos in tables.values() for info in infos if isinstance(info, StoredFile)]
        for identifier, tables in data.records.items()
    }


def stored_uri(butler: Butler, ref: DatasetRef) -> ResourcePath | None:
    """Return where the file of a registered dataset is, `None` if the file was given up."""
    try:
        return butler.getURI(ref)
    except FileNotFoundError:
        return None


def artifact_uri(butler: Butler, stored: StoredFile) -> ResourcePath:
    """Return where a file on record is, or would be in another repository: without a member's name in an archive."""
    return stored.file_location(file_datastore(butler).locationFactory).uri.replace(fragment="")


def file_checksum(uri: ResourcePath) -> str | None:
    """Return the checksum of a local file, as Butler records it."""
    return FileDatastore.computeChecksum(uri)

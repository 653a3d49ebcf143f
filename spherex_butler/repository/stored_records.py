"""What the datastore has on record of datasets' files: read, compared with the registry and copied, files unseen.

Butler has no public interface for it; its own calls and tables are used here, and where images are registered.
"""

# ruff: noqa: SLF001  (see above)

from __future__ import annotations

__all__ = ("StoredFile", "artifact_uri", "import_files", "records_without_dataset", "stored_files", "true_checksum")

import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import sqlalchemy
from lsst.daf.butler import Butler, DatasetRef
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.daf.butler.direct_butler import DirectButler
from lsst.resources import ResourcePath

from ..errors import ConfigurationError

StoredFile = StoredFileInfo
"""Path, size, checksum, formatter and storage class of a file, as recorded."""


def stored_files(butler: Butler, refs: Iterable[DatasetRef]) -> dict[uuid.UUID, list[StoredFile]]:
    """Return the files on record of datasets, by id; nothing for those that have none or are being removed.

    Raises
    ------
    ConfigurationError
        Raised if the repository does not keep files.
    """
    _, datastore = _opened(butler)
    (data,) = datastore.export_records(refs).values()
    return {
        identifier: [info for infos in tables.values() for info in infos if isinstance(info, StoredFile)]
        for identifier, tables in data.records.items()
    }


def artifact_uri(butler: Butler, stored: StoredFile) -> ResourcePath:
    """Return where a file on record is, or would be in another repository: without a member's name in an archive."""
    _, datastore = _opened(butler)
    return stored.file_location(datastore.locationFactory).uri.replace(fragment="")


def true_checksum(uri: ResourcePath) -> str | None:
    """Return the checksum of a local file, as Butler records it."""
    return FileDatastore.computeChecksum(uri)


def records_without_dataset(butler: Butler, limit: int) -> tuple[int, list[tuple[uuid.UUID, str]]]:
    """Return how many files are on record of no dataset, and the first ids and paths of these.

    They belong to datasets whose removal was interrupted.
    """
    inner, datastore = _opened(butler)
    records = datastore._table._table  # type: ignore[attr-defined]
    location = datastore.bridge._tables.dataset_location  # type: ignore[attr-defined]
    known = sqlalchemy.exists().where(
        location.columns.dataset_id == records.columns.dataset_id, location.columns.datastore_name == datastore.name
    )
    statement = sqlalchemy.select(records.columns.dataset_id, records.columns.path).where(~known)
    found: list[tuple[uuid.UUID, str]] = []
    count = 0
    with inner._registry._db.query(statement) as rows:
        for count, row in enumerate(rows, start=1):  # noqa: B007  (the last one counts)
            if len(found) < limit:
                found.append((row.dataset_id, row.path))
    return count, found


def import_files(butler: Butler, files: Mapping[DatasetRef, Sequence[StoredFile]]) -> None:
    """Register datasets with their ids, and their files as on record elsewhere; best in a transaction.

    Parameters
    ----------
    butler
        A writeable repository, in which runs, dataset types and dimension
        records are, and the files in their places.
    files
        Datasets that the datastore does not know, and their files.
    """
    inner, datastore = _opened(butler)

    def group(ref: DatasetRef) -> tuple[str, str]:
        return ref.run, ref.datasetType.name

    for _, refs in groupby(sorted(files, key=group), key=group):
        # Not assume_new=True, which converts the time of ingest once a row, and takes five times as long.
        inner._registry._importDatasets(refs, expand=False)
    table = datastore._table.name
    records = {ref.id: {table: list(infos)} for ref, infos in files.items()}
    datastore.import_records({datastore.name: DatastoreRecordData(records=records)})  # type: ignore[arg-type]  # a list is invariant


def _opened(butler: Butler) -> tuple[DirectButler, FileDatastore]:
    if isinstance(butler, DirectButler) and isinstance(butler._datastore, FileDatastore):
        return butler, butler._datastore
    datastore = type(getattr(butler, "_datastore", None)).__name__
    raise ConfigurationError(
        f"The repository is opened as {type(butler).__name__} with the datastore {datastore}; its files are looked up "
        "in one that has database and files itself, as Butler.from_config gives for those of spherex_butler.make_repo."
    )

"""Files that are in their place registered by the hundred, with their sizes, and without another look at each.

`lsst.daf.butler.Butler.ingest` looks up the data ID and asks for the existence
of every file; here these were read a moment ago.
"""

from __future__ import annotations

__all__ = ("register_files",)

import uuid
from collections.abc import Sequence
from typing import Any

from lsst.daf.butler import Butler

from .arrivals import Arrival
from .bulk_registration import known_ids
from .stored_records import StoredFile, import_files, true_checksum

_UNKNOWN_SIZE = -1  # what Butler writes for a file it did not look at, and then does not check


def register_files(butler: Butler, arrivals: Sequence[tuple[Arrival, int | None]]) -> set[uuid.UUID]:
    """Register files that are in place; in a transaction, with their dimension records there.

    Parameters
    ----------
    butler
        A writeable repository.
    arrivals
        Files of one dataset type, with their sizes in bytes where these are known.

    Returns
    -------
    new
        Ids of the datasets that were not there yet.
    """
    known = known_ids(butler, [arrival.ref for arrival, _ in arrivals])
    new = sorted((pair for pair in arrivals if pair[0].ref.id not in known), key=lambda pair: pair[0].ref.id.int)
    if new:
        datastore: Any = butler._datastore  # noqa: SLF001  (what follows has no public name)
        formatter = datastore.formatterFactory.getFormatterClass(new[0][0].ref).name()
        import_files(butler, {arrival.ref: [_record(datastore, formatter, arrival, size)] for arrival, size in new})
    return {arrival.ref.id for arrival, _ in new}


def _record(datastore: Any, formatter: str, arrival: Arrival, size: int | None) -> StoredFile:
    """Return what Butler writes of an ingested file."""
    name = arrival.ref.datasetType.storageClass_name
    checksum = true_checksum(arrival.uri) if datastore.useChecksum and arrival.uri.isLocal else None
    if arrival.mode == "direct":
        path = str(arrival.uri)
    else:
        relative = arrival.uri.relative_to(datastore.root)
        path = datastore.locationFactory.fromPath(relative, trusted_path=True).pathInStore.path
        size = arrival.uri.size() if size is None else size
    return StoredFile(
        formatter, path, None, None, checksum, _UNKNOWN_SIZE if size is None else size, storage_class_name=name
    )

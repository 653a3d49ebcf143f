"""What is certified in a repository: its calibration types, candidates and validity ranges, as they are found."""

from __future__ import annotations

__all__ = (
    "calibration_types",
    "calibrations_at",
    "candidates",
    "certifications",
    "newest_first",
    "require_calibration_collection",
    "search_path",
)

from collections.abc import Collection, Iterable

from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType
from lsst.daf.butler.registry import MissingCollectionError

from ..constants import CALIBRATION_COLLECTION, DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ConfigurationError, ParameterError
from ..names import RUN_PREFIX
from .ranges import Certification, as_time, format_time, token_rank


def calibration_types(butler: Butler, names: str | Iterable[str] | None = None) -> list[DatasetType]:
    """Return calibration dataset types, by default all of them.

    Raises
    ------
    ParameterError
        Raised if a name is that of none.
    """
    found = {kind.name: kind for kind in butler.registry.queryDatasetTypes() if kind.isCalibration()}
    if names is None:
        return [found[name] for name in sorted(found)]
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise ParameterError(f"{unknown} are no calibration dataset types of this repository; it has {sorted(found)}.")
    return [found[name] for name in dict.fromkeys(wanted)]


def candidates(butler: Butler, dataset_type: DatasetType, runs: Iterable[str] | None = None) -> list[DatasetRef]:
    """Return the datasets of a type, newest first.

    Parameters
    ----------
    butler
        The repository.
    dataset_type
        A calibration type.
    runs
        Where to look, by default in the runs of all products of the archive.
    """
    if runs is None:
        runs = butler.collections.query(f"{RUN_PREFIX}*", collection_types=CollectionType.RUN)
    names = list(runs)
    if not names:
        return []
    instrument = {"instrument": INSTRUMENT} if "instrument" in dataset_type.dimensions else {}
    with butler.query() as query:
        return newest_first(query.datasets(dataset_type, collections=names, find_first=False).where(instrument))


def newest_first(refs: Iterable[DatasetRef]) -> list[DatasetRef]:
    """Return datasets by the rank of their tokens; those whose run is not named by one come last."""
    ranked = [((token_rank(ref.run) or ()), ref.run, ref) for ref in refs]
    return [ref for *_, ref in sorted(ranked, key=lambda item: item[:2], reverse=True)]


def certifications(
    butler: Butler, dataset_type: str | Iterable[str] | None = None, *, collection: str = CALIBRATION_COLLECTION
) -> list[Certification]:
    """Return the validity ranges in a calibration collection, by type, detector and time.

    Parameters
    ----------
    butler
        The repository.
    dataset_type
        One or more calibration types, by default all.
    collection
        Where; one that does not exist has none.

    Raises
    ------
    ParameterError
        Raised if a name is not that of a calibration type.
    ConfigurationError
        Raised if the collection is of another type.
    """
    types = calibration_types(butler, dataset_type)
    if not require_calibration_collection(butler, collection):
        return []
    found = [
        Certification(association.ref, association.timespan, collection)
        for kind in types
        for association in butler.registry.queryDatasetAssociations(kind, [collection])
        if association.timespan is not None
    ]
    return sorted(found, key=_order)


def require_calibration_collection(butler: Butler, collection: str) -> bool:
    """Return whether a collection exists.

    Raises
    ------
    ConfigurationError
        Raised if it is no calibration collection.
    """
    try:
        kind = butler.collections.get_info(collection).type
    except MissingCollectionError:
        return False
    if kind is not CollectionType.CALIBRATION:
        raise ConfigurationError(
            f"The collection {collection!r} is of type {kind.name}; expected CALIBRATION, such as "
            f"{CALIBRATION_COLLECTION!r}."
        )
    return True


def search_path(butler: Butler, collections: str | Iterable[str] = DEFAULT_COLLECTION) -> list[str]:
    """Return the calibration collections among others and their members, in the order in which they are searched."""
    names = [collections] if isinstance(collections, str) else list(collections)
    try:
        found = butler.collections.query(names, collection_types=CollectionType.CALIBRATION, flatten_chains=True)
    except MissingCollectionError:
        return []
    return list(found)


def calibrations_at(
    butler: Butler,
    time: str | Time | None = None,
    *,
    dataset_type: str | Iterable[str] | None = None,
    detectors: int | Collection[int] | None = None,
    collection: str = CALIBRATION_COLLECTION,
) -> Table:
    """Return what is valid at a time.

    Parameters
    ----------
    butler
        The repository.
    time
        UTC as ISO 8601 text, or an astropy Time; by default all ranges are listed.
    dataset_type
        One or more calibration types, by default all.
    detectors
        One or more, by default all; calibrations for all detectors are listed in any case.
    collection
        Where they are certified.

    Returns
    -------
    table
        Columns ``dataset_type``, ``detector`` (masked where one dataset is for all), ``token``, ``rule``, ``begin``
        and ``end`` (UTC, empty where open) and ``id``.
    """
    instant = None if time is None else as_time(time)
    wanted = {detectors} if isinstance(detectors, int) else detectors
    rows = [
        _row(found)
        for found in certifications(butler, dataset_type, collection=collection)
        if (instant is None or found.timespan.contains(instant))
        and (wanted is None or found.ref.dataId.get("detector") in {None, *wanted})
    ]
    table = Table(rows=rows, names=list(_COLUMNS), dtype=list(_COLUMNS.values()), masked=True)
    if rows:
        table["detector"].mask = table["detector"] == 0
    return table


_COLUMNS = {"dataset_type": str, "detector": int, "token": str, "rule": str, "begin": str, "end": str, "id": str}


def _row(found: Certification) -> tuple[str | int, ...]:
    begin, end = found.timespan.begin, found.timespan.end
    return (
        found.ref.datasetType.name,
        int(found.ref.dataId.get("detector") or 0),
        found.token,
        str(found.rule),
        "" if begin is None else format_time(begin),
        "" if end is None else format_time(end),
        str(found.ref.id),
    )


def _order(found: Certification) -> tuple[str, tuple[str | int, ...], int]:
    return found.ref.datasetType.name, found.ref.dataId.required_values, found.timespan.nsec[0]

"""What a repository has of calibrations: types, datasets, validity ranges, and exposures that no bound may cut."""

from __future__ import annotations

__all__ = (
    "calibration_collection_exists",
    "calibration_types",
    "calibrations_at",
    "calibrations_table",
    "candidates",
    "certifications",
    "certifications_at",
    "require_between_exposures",
    "runs_of_tokens",
    "search_path",
)

from collections.abc import Collection, Iterable

from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType, DimensionRecord
from lsst.daf.butler.registry import MissingCollectionError

from ..arguments import detectors_given
from ..constants import CALIBRATION_COLLECTION, DEFAULT_COLLECTION, INSTRUMENT
from ..datasets.finding import require_collections
from ..errors import ConfigurationError, ParameterError, near
from ..names import RUN_PREFIX
from ..repository.failures import told_as_repository_failures
from ..repository.times import format_time
from .ranges import Certification, UserTime, as_time, token_of, token_rank


def calibration_types(butler: Butler, names: str | Iterable[str] | None = None) -> list[DatasetType]:
    """Return calibration dataset types, by default all of them."""
    found = {kind.name: kind for kind in butler.registry.queryDatasetTypes() if kind.isCalibration()}
    if names is None:
        return [found[name] for name in sorted(found)]
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        are = "are not calibration types of this repository."
        if len(unknown) == 1:
            are = f"is not a calibration type of this repository{near(unknown[0], found)}"
        raise ParameterError(f"{', '.join(map(repr, unknown))} {are} It has {', '.join(sorted(found)) or 'none'}.")
    return [found[name] for name in dict.fromkeys(wanted)]


def candidates(butler: Butler, dataset_type: DatasetType, runs: Iterable[str] | None = None) -> list[DatasetRef]:
    """Return the datasets of a type, newest first, by default those in the runs of all products of the archive."""
    if runs is None:
        runs = butler.collections.query(f"{RUN_PREFIX}*", collection_types=CollectionType.RUN)
    names = list(runs)
    if not names:
        return []
    instrument = {"instrument": INSTRUMENT} if "instrument" in dataset_type.dimensions else {}
    with butler.query() as query:
        found = list(query.datasets(dataset_type, collections=names, find_first=False).where(instrument))
    return sorted(found, key=lambda ref: (token_rank(ref.run) or (), ref.run), reverse=True)


def runs_of_tokens(butler: Butler, token: str | Iterable[str] | None) -> list[str] | None:
    """Return the runs of processing tokens, or other runs that are given as they are."""
    if token is None:
        return None
    there = set(butler.collections.query("*", collection_types=CollectionType.RUN))
    tokens = [token] if isinstance(token, str) else list(token)
    runs = [run if (run := RUN_PREFIX + given) in there else given for given in tokens]
    if unknown := [run for run in runs if run not in there]:
        calibrations = sorted(token_of(run) for run in there if not run.startswith(f"{RUN_PREFIX}l2b"))
        raise ParameterError(
            f"Neither tokens nor runs of this repository are {', '.join(map(repr, unknown))}; besides images it has "
            f"{', '.join(calibrations) or 'none'}."
        )
    return runs


@told_as_repository_failures()
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
    if not calibration_collection_exists(butler, collection):
        return []
    found = [
        Certification(association.ref, association.timespan, collection)
        for kind in types
        for association in butler.registry.queryDatasetAssociations(kind, [collection])
        if association.timespan is not None
    ]
    return sorted(found, key=lambda one: (one.key, one.timespan.nsec[0]))


def calibration_collection_exists(butler: Butler, collection: str) -> bool:
    """Return whether a collection exists; raise an error if it is not a calibration collection."""
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


def require_between_exposures(butler: Butler, bounds: Iterable[Time]) -> None:
    """Refuse bounds inside an exposure, whose image would find two calibrations; its begin and end are allowed."""
    for bound in sorted({bound.tai for bound in bounds}):
        if (exposure := _exposure_over(butler, bound)) is not None:
            begin, end = exposure.timespan.begin, exposure.timespan.end
            raise ParameterError(
                f"The bound {format_time(bound)} UTC lies inside exposure {exposure.id} ({exposure.obs_id}), which "
                f"lasted from {format_time(begin)} to {format_time(end)} UTC; expected one between exposures, such as "
                "either of these. Nothing was changed."
            )


def _exposure_over(butler: Butler, bound: Time) -> DimensionRecord | None:
    """Return an exposure that a bound lies inside of.

    Each bound takes a query, 0.1 s with all exposures of the mission: of several bounds in one query, Butler writes
    out every combination of the terms.
    """
    with butler.query() as query:
        timespan = query.expression_factory.exposure.timespan
        records = query.dimension_records("exposure").where(
            timespan.begin < bound, timespan.end > bound, instrument=INSTRUMENT
        )
        return next(iter(records.limit(1)), None)


def search_path(butler: Butler, collections: str | Iterable[str] = DEFAULT_COLLECTION) -> list[str]:
    """Return the calibration collections among some collections and their members, in the order of a search."""
    names = [collections] if isinstance(collections, str) else list(collections)
    try:
        found = butler.collections.query(names, collection_types=CollectionType.CALIBRATION, flatten_chains=True)
    except MissingCollectionError:
        return []
    return list(found)


def certifications_at(
    butler: Butler,
    time: UserTime | None = None,
    *,
    dataset_type: str | Iterable[str] | None = None,
    detectors: int | Collection[int] | None = None,
    collection: str = CALIBRATION_COLLECTION,
) -> list[Certification]:
    """Return the validity ranges that `calibrations_at` makes a table of; the parameters are the same."""
    instant = None if time is None else as_time(time)
    wanted = detectors_given(detectors)
    require_collections(butler, [collection])
    return [
        found
        for found in certifications(butler, dataset_type, collection=collection)
        if (instant is None or found.timespan.contains(instant))
        and (wanted is None or found.ref.dataId.get("detector") in {None, *wanted})
    ]


@told_as_repository_failures()
def calibrations_at(
    butler: Butler,
    time: str | Time | None = None,
    *,
    dataset_type: str | Iterable[str] | None = None,
    detectors: int | Collection[int] | None = None,
    collection: str = CALIBRATION_COLLECTION,
) -> Table:
    """Return a table of the calibrations that are valid at a time.

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

    Raises
    ------
    ParameterError
        Raised if there is no such type, detector or collection.
    ConfigurationError
        Raised if the collection is not one of calibrations.
    """
    found = certifications_at(butler, time, dataset_type=dataset_type, detectors=detectors, collection=collection)
    return calibrations_table(found)


def calibrations_table(found: Iterable[Certification]) -> Table:
    """Return validity ranges as a table, with the columns of `calibrations_at`."""
    rows = list(map(_row, found))
    table = Table(rows=rows, names=list(_COLUMNS), dtype=list(_COLUMNS.values()), masked=True)
    if rows:
        table["detector"].mask = table["detector"] == 0
    return table


_COLUMNS = {"dataset_type": str, "detector": int, "token": str, "rule": str, "begin": str, "end": str, "id": str}


def _row(found: Certification) -> tuple[str | int, ...]:
    bounds = ("" if time is None else format_time(time) for time in (found.timespan.begin, found.timespan.end))
    detector = int(found.ref.dataId.get("detector") or 0)
    return found.ref.datasetType.name, detector, found.token, str(found.rule), *bounds, str(found.ref.id)

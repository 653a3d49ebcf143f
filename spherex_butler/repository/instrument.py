"""What every SPHEREx repository has registered: the instrument, detectors, channels, dataset types, collections."""

from __future__ import annotations

__all__ = ("Registration", "not_registered", "register", "register_as")

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType, Config, DatasetType, DimensionRecord
from lsst.daf.butler.registry import MissingCollectionError
from lsst.resources import ResourcePath

from ..configuration.dataset_types import dataset_types
from ..constants import CALIBRATION_COLLECTION, DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ConfigurationError
from ..paths import config_uri
from ..summaries import Summarized
from .configured import require_configuration
from .failures import told_as_repository_failures
from .opened import require_universe, require_writeable

_COLLECTIONS = {CALIBRATION_COLLECTION: CollectionType.CALIBRATION, DEFAULT_COLLECTION: CollectionType.CHAINED}

_CLASS = "class_name"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class Registration(Summarized):
    """What `register` did, or would do.

    Parameters
    ----------
    added
        What was not registered, in words: ``detector 3``, ``dataset type dark``.
    replaced
        Records that differed from those of this package, with both values, and have theirs now.
    kept
        What differs and was left as it is, with both values.
    """

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The counts, in words."""
        counts = f"{len(self.added)} added, {len(self.kept)} different and kept"
        return f"{counts}, {len(self.replaced)} replaced" if self.replaced else counts

    def __str__(self) -> str:
        return "\n".join([*(f"added: {what}" for what in self.added), *self.replaced, *self.kept, self.summary])


@told_as_repository_failures(writes=True)
def register(butler: Butler, *, update: bool = False, dry_run: bool = False) -> Registration:
    """Register SPHEREx in a repository of its universe: what `~spherex_butler.make_repo` does for a new one.

    A repository that ``Butler.makeRepo`` or ``butler create`` made has the
    universe alone.  What is there already stays, so that a second call changes
    nothing.

    Parameters
    ----------
    butler
        The repository, writeable unless it is a dry run.
    update
        Whether records of the instrument, its detectors and channels that
        differ from those of this package are replaced.
    dry_run
        Whether to say what would be done, and change nothing.

    Returns
    -------
    registration
        What was added, replaced, and left as it is though it differs.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only, has another universe, or its
        configuration lacks our storage classes or formatters, or if a
        collection with one of our names is of another type.
    """
    require_universe(butler)
    require_configuration(butler)
    return register_as(butler, None, update=update, dry_run=dry_run)


def register_as(
    butler: Butler, class_name: str | None, *, update: bool = False, dry_run: bool = False, with_types: bool = True
) -> Registration:
    """Register SPHEREx with a class that describes it to pipelines; the rest is as of `register`.

    `None` stands for our class where no class is recorded, as in repositories that earlier versions of this package
    made, and for whatever class is recorded elsewhere. Dataset types need our storage classes in the configuration.
    """
    require_universe(butler)
    if not dry_run:
        require_writeable(butler)
    plan = _planned_records(butler, class_name)
    types, kept = _missing_types(butler) if with_types else ([], [])
    collections = _missing_collections(butler)
    added = [*plan.added, *(f"dataset type {dataset_type.name}" for dataset_type in types)]
    added += [f"collection {name}" for name in collections]
    if not dry_run:
        changed = [*plan.completed, *(plan.differing if update else ())]
        _write(butler, plan.new, changed, types, collections)
        _log.debug("registered %s", ", ".join(added) or "nothing")
    said = tuple(plan.said)
    return Registration(tuple(added), said if update else (), (*(() if update else said), *kept))


@dataclass(slots=True)
class _PlannedRecords:
    """Records to insert by element, those that get the class they lack, those that differ; what is added, and why."""

    new: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    completed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    differing: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def _planned_records(butler: Butler, class_name: str | None) -> _PlannedRecords:
    known, plan = _known_records(butler), _PlannedRecords()
    for element, records in _instrument_records(class_name).items():
        for record in records:
            data_id = _data_id(butler, element, record)
            found = known[element].get(tuple(data_id.values()))
            words = _words(element, data_id)
            if found is None:
                plan.new.setdefault(element, []).append(record)
                plan.added.append(words)
            else:
                _compare(plan, element, found.toDict(), record, words, keep_class=class_name is None)
    return plan


def _compare(
    plan: _PlannedRecords, element: str, theirs: dict[str, Any], ours: dict[str, Any], words: str, *, keep_class: bool
) -> None:
    """Plan what becomes of a record that is there."""
    if _CLASS in ours and theirs[_CLASS] is None:
        theirs = theirs | {_CLASS: ours[_CLASS]}
        plan.completed.append((element, theirs))
        plan.added.append(f"class {ours[_CLASS]} of {words}")
    elif keep_class:  # it is the business of whoever recorded it
        ours = {name: value for name, value in ours.items() if name != _CLASS}
    if different := list(_differences(theirs, ours)):
        plan.differing.append((element, theirs | ours))
        plan.said.append(f"{words}: {'; '.join(different)}")


def _write(
    butler: Butler,
    new: dict[str, list[dict[str, Any]]],
    changed: list[tuple[str, dict[str, Any]]],
    types: list[DatasetType],
    collections: dict[str, CollectionType],
) -> None:
    with butler.transaction():
        for element, records in new.items():
            butler.registry.insertDimensionData(element, *records, skip_existing=True)  # by another process meanwhile
        for element, record in changed:
            butler.registry.syncDimensionData(element, record, update=True)
    for dataset_type in types:
        butler.registry.registerDatasetType(dataset_type)
    for name, kind in collections.items():
        butler.collections.register(name, kind)
    if DEFAULT_COLLECTION in collections:
        butler.collections.extend_chain(DEFAULT_COLLECTION, [CALIBRATION_COLLECTION])


def not_registered(butler: Butler) -> list[str]:
    """Return in words which dataset types are missing, and whether the collection of calibrations is."""
    missing = [f"dataset type {dataset_type.name}" for dataset_type in _missing_types(butler)[0]]
    there = set(butler.collections.query("SPHEREx/*"))
    return missing if CALIBRATION_COLLECTION in there else [*missing, f"collection {CALIBRATION_COLLECTION}"]


def channel_table() -> Table:
    """Return the spectral channels of all detectors: detector, id, wavelengths and bandwidth (µm), resolving power."""
    text = ResourcePath(config_uri("repository/channels.ecsv")).read().decode()
    return Table.read(text, format="ascii.ecsv")


def _instrument_records(class_name: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return the records of the instrument, its detectors and their channels, in order of insertion."""
    config = Config(config_uri("repository/instrument.yaml")).toDict()
    named = {} if class_name is None else {_CLASS: class_name}
    channels = channel_table()
    rows = [dict(zip(channels.colnames, row, strict=True)) for row in channels.as_array().tolist()]
    of_ours = {"instrument": INSTRUMENT}
    return {
        "instrument": [config["instrument"] | named],
        "detector": [of_ours | record for record in config["detector"]],
        "channel": [of_ours | record for record in rows],
    }


def _known_records(butler: Butler) -> dict[str, dict[tuple[Any, ...], DimensionRecord]]:
    ours = f"instrument = '{INSTRUMENT}'"  # not as a value, which Butler refuses where it is not registered
    found: dict[str, dict[tuple[Any, ...], DimensionRecord]] = {}
    for element in ("instrument", "detector", "channel"):
        with butler.query() as query:
            records = query.dimension_records(element).where(ours)
            found[element] = {tuple(record.dataId.required.values()): record for record in records}
    return found


def _data_id(butler: Butler, element: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return the values that identify a record, in the order of Butler's data IDs."""
    key = butler.dimensions.dimensions[element].primary_key.name
    names = butler.dimensions[element].minimal_group.required
    return {name: record[key if name == element else name] for name in names}


def _words(element: str, data_id: dict[str, Any]) -> str:
    return " ".join(
        [element, *(str(value) for name, value in data_id.items() if name != "instrument" or name == element)]
    )


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    for name, value in ours.items():
        if theirs.get(name) != value:
            yield f"{name} is {theirs.get(name)!r} here, {value!r} in this package"


def _missing_types(butler: Butler) -> tuple[list[DatasetType], list[str]]:
    """Return the dataset types that are not registered, and of those that are and differ, both definitions."""
    known = {found.name: found for found in butler.registry.queryDatasetTypes()}
    missing, differing = [], []
    for ours in dataset_types(butler.dimensions):
        theirs = known.get(ours.name)
        if theirs is None:
            missing.append(ours)
        elif theirs != ours:
            differing.append(
                f"dataset type {ours.name} is {_definition(theirs)} here, {_definition(ours)} in this package"
            )
    return missing, differing


def _definition(dataset_type: DatasetType) -> str:
    kind = "a calibration" if dataset_type.isCalibration() else "no calibration"
    return f"{dataset_type.storageClass_name} of {', '.join(dataset_type.dimensions.required)} and {kind}"


def _missing_collections(butler: Butler) -> dict[str, CollectionType]:
    missing = {}
    for name, kind in _COLLECTIONS.items():
        try:
            found = butler.collections.get_info(name).type
        except MissingCollectionError:
            missing[name] = kind
            continue
        if found is not kind:
            raise ConfigurationError(
                f"The collection {name!r} is a {found.name} collection; expected {kind.name}. Rename or remove it, as "
                "SPHEREx needs the name. Nothing was changed."
            )
    return missing

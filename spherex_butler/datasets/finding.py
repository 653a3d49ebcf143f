"""A dataset found by what users type, and for what is not there: what is."""

from __future__ import annotations

__all__ = ("dimension_names", "find_dataset", "require_collections")

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DatasetRef,
    DatasetType,
    MissingDatasetTypeError,
)
from lsst.daf.butler.registry import MissingCollectionError

from ..constants import INSTRUMENT
from ..errors import ParameterError, near
from ..repository.data_ids import is_key, with_keys

_SOME = 6
"""How many values of a dimension, or names, are listed."""


def dimension_names(names: Iterable[str], butler: Butler) -> list[str]:
    """Return names of dimensions, sorted, without the dozens of pixelizations of the sky."""
    return sorted(set(names) - set(butler.dimensions.skypix_dimensions.names))


def find_dataset(butler: Butler, dataset: str, data_id: Mapping[str, Any], collections: Sequence[str]) -> DatasetRef:
    """Return the one dataset that is meant.

    Parameters
    ----------
    butler
        The repository.
    dataset
        A dataset type, or the id of a dataset.
    data_id
        Values of dimensions; the instrument is SPHEREx where it is not given. For a calibration an exposure may be
        given, for which it is valid.
    collections
        Where to look, in this order.

    Raises
    ------
    ParameterError
        Raised if there is no such dataset; it says what there is.
    """
    if (identifier := _uuid(dataset)) is not None:
        if data_id:
            raise ParameterError(f"{dataset} is the id of one dataset; leave {' and '.join(data_id)} out.")
        ref = butler.get_dataset(identifier)
        if ref is None:
            raise ParameterError(
                f"There is no dataset with the id {dataset}; 'butler query-datasets REPO TYPE' lists ids."
            )
        return ref
    kind = _dataset_type(butler, dataset)
    require_collections(butler, collections)
    given = {"instrument": INSTRUMENT, **data_id} if "instrument" in kind.dimensions else data_id
    search = _Search(butler, kind, with_keys(butler, given), collections)
    search.require_dimensions()
    return search.find()


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _dataset_type(butler: Butler, name: str) -> DatasetType:
    whole, component = DatasetType.splitDatasetTypeName(name)
    known = sorted(kind.name for kind in butler.registry.queryDatasetTypes())
    try:
        found = butler.get_dataset_type(whole)
    except MissingDatasetTypeError as error:
        listed = f" It has {', '.join(known) or 'none'}." if len(known) <= 3 * _SOME else ""
        raise ParameterError(
            f"There is no dataset type {whole!r} in the repository{near(whole, known)}{listed} 'butler "
            "query-dataset-types REPO' lists them."
        ) from error
    if component is not None:
        raise ParameterError(f"{name!r} is a component; expected a whole dataset, such as {whole!r}.")
    return found


def require_collections(butler: Butler, collections: Sequence[str]) -> None:
    """Refuse names of collections that the repository does not have."""
    for name in collections:
        try:
            butler.collections.get_info(name)
        except MissingCollectionError as error:
            known = butler.collections.query("*")
            raise ParameterError(
                f"There is no collection {name!r} in the repository{near(name, known)} 'butler query-collections REPO' "
                "lists them."
            ) from error


class _Search:
    """A search for the dataset of a type and data ID in some collections."""

    def __init__(self, butler: Butler, kind: DatasetType, data_id: dict[str, Any], collections: Sequence[str]) -> None:
        self._butler, self._kind, self._data_id, self._collections = butler, kind, data_id, collections
        self._required = [name for name in kind.dimensions.required if name != "instrument"]
        self._by_validity = kind.isCalibration() and "exposure" not in kind.dimensions
        self._exposure = data_id.pop("exposure", None) if self._by_validity else None

    def require_dimensions(self) -> None:
        """Refuse a data ID that lacks dimensions of the dataset type, or has others."""
        instrument = "the instrument" if "instrument" in self._kind.dimensions else "no data ID"
        needs = f"{self._kind.name!r} needs {' and '.join(self._required) or instrument}"
        if unknown := sorted(set(self._data_id) - set(self._kind.dimensions.required)):
            raise ParameterError(f"{needs}; leave {' and '.join(unknown)} out.")
        if missing := [one for one in self._required if one not in self._data_id]:
            raise ParameterError(f"{needs}; {' and '.join(missing)} {_were(missing)} not given. {self._there()}")

    def find(self) -> DatasetRef:
        """Return the dataset; raise an error that says what there is if it is not there."""
        wanted, where = f"{self._kind.name} {_words(self._data_id)}".rstrip(), ", ".join(self._collections)
        if self._exposure is not None:
            return self._find_valid(wanted, where)
        ref = None
        if all(is_key(self._butler, name, value) for name, value in self._data_id.items()):
            ref = self._butler.find_dataset(self._kind, self._data_id, collections=self._collections)
            if ref is None and self._by_validity and len({one.id for one in self._datasets(self._data_id)}) == 1:
                (ref, *_) = self._datasets(self._data_id)  # no other is valid at any time
        if ref is None:
            raise ParameterError(f"There is no dataset '{wanted}' in {where}. {self._there()}")
        return ref

    def _find_valid(self, wanted: str, where: str) -> DatasetRef:
        """Return the calibration that is valid for the exposure."""
        record = None
        if isinstance(self._exposure, int):
            instrument = self._data_id.get("instrument", INSTRUMENT)
            with self._butler.query() as query:
                records = query.dimension_records("exposure").where(instrument=instrument, exposure=self._exposure)
                record = next(iter(records), None)
        if record is None:
            raise ParameterError(f"The exposure {self._exposure!r} is not registered; ingest an image of it first.")
        ref = self._butler.find_dataset(
            self._kind, self._data_id, collections=self._collections, timespan=record.timespan
        )
        if ref is None:
            raise ParameterError(
                f"No dataset '{wanted}' in {where} is valid for exposure={self._exposure}; 'butler spherex explain "
                f"REPO {self._kind.name} --exposure {self._exposure}' with the same --detector says why."
            )
        return ref

    def _there(self) -> str:
        """Return a sentence on what there is instead."""
        given = {name: value for name, value in self._data_id.items() if is_key(self._butler, name, value)}
        if set(given) == set(self._data_id) >= set(self._required) and (
            found := self._datasets(given, everywhere=True)
        ):
            runs = list(dict.fromkeys(ref.run for ref in found))
            valid = ", or exposure=… for the one that is valid for it" if self._by_validity else ""
            return f"There is one in {' and in '.join(runs)}; give --collections {runs[0]}{valid}."
        for name in sorted(set(self._required) & set(self._data_id), key=lambda name: (name in given, name)):
            others = {one: value for one, value in given.items() if one != name}
            if set(others) - {"instrument"} and (found := self._datasets(others)):
                values = sorted({ref.dataId[name] for ref in found})
                there = "is" if len(values) == 1 else "are"
                return f"With {_words(others)} there {there} {name}={', '.join(map(str, values))}{self._more(found)}."
        for conditions, everywhere in ((given, False), ({}, False), ({}, True)):
            if found := self._datasets(conditions, everywhere=everywhere):
                example = min(found, key=lambda ref: ref.dataId.required_values)
                return f"There is, for example, {_words(example.dataId.required)} in {example.run}."
        return f"The repository has no dataset of type {self._kind.name!r}."

    def _more(self, found: Sequence[DatasetRef]) -> str:
        return " and more" if len(found) == _SOME else ""

    def _datasets(self, conditions: Mapping[str, Any], *, everywhere: bool = False) -> list[DatasetRef]:
        """Return some datasets of the type."""
        collections: Sequence[str] = self._collections
        if everywhere:
            collections = self._butler.collections.query("*", collection_types=CollectionType.RUN)
        if not collections:
            return []
        with self._butler.query() as query:
            found = query.datasets(self._kind, collections=collections, find_first=False).where(conditions)
            return list(found.limit(_SOME))


def _were(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _words(data_id: Mapping[str, Any]) -> str:
    """Return a data ID as it is typed."""
    return " ".join(f"{name}={value}" for name, value in data_id.items() if (name, value) != ("instrument", INSTRUMENT))

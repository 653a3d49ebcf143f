"""Datasets of images: their ids, and many of them in little memory."""

from __future__ import annotations

__all__ = ("ImageRefs", "dataset_text", "image_ref", "images_between")

import uuid
from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import overload

from lsst.daf.butler import DataCoordinate, DatasetIdFactory, DatasetIdGenEnum, DatasetRef, DatasetType
from lsst.daf.butler.queries import Query
from lsst.daf.butler.queries.tree import Predicate

from ..constants import DETECTORS, INSTRUMENT
from ..summaries import number_of

_IDS = DatasetIdFactory()
_ID_BYTES = 16


def image_ref(dataset_type: DatasetType, run: str, exposure: int, detector: int) -> DatasetRef:
    """Return the dataset an image becomes.

    Its id follows from data ID, dataset type and run, so that a rerun finds what is there.
    """
    data_id = _data_id(dataset_type, exposure, detector)
    identifier = _IDS.makeDatasetId(run, dataset_type, data_id, DatasetIdGenEnum.DATAID_TYPE_RUN)
    return DatasetRef(dataset_type, data_id, run=run, id=identifier, conform=False)


def _data_id(dataset_type: DatasetType, exposure: int, detector: int) -> DataCoordinate:
    values: dict[str, int | str] = {"instrument": INSTRUMENT, "exposure": exposure, "detector": detector}
    dimensions = dataset_type.dimensions
    return DataCoordinate.from_required_values(dimensions, tuple(values[name] for name in dimensions.required))


def dataset_text(ref: DatasetRef, *, with_id: bool = True) -> str:
    """Return a dataset in words: its type, data ID without the instrument, run, and its id if that is wanted."""
    values = [f"{name}={value}" for name, value in ref.dataId.required.items() if name != "instrument"]
    return " ".join([ref.datasetType.name, *values, "in", ref.run, *([f"({ref.id})"] if with_id else [])])


def images_between(query: Query, exposures: Collection[int]) -> Predicate:
    """Return the condition that exposures lie between the first and the last given, and detectors are known ones.

    It selects no less than the planning period does, but lets the database use
    its indexes: for datasets and regions these begin with detector and
    exposure, and none contains the planning period.
    """
    expressions = query.expression_factory
    return expressions.all(
        expressions.exposure >= min(exposures, default=0),
        expressions.exposure <= max(exposures, default=0),
        expressions.detector.in_iterable(DETECTORS),
    )


class ImageRefs(Sequence[DatasetRef]):
    """Images of a few runs, as a list of datasets that takes 30 bytes for each.

    A list of `~lsst.daf.butler.DatasetRef` of the whole mission would take
    gigabytes.  Each is made again when it is looked at, its data ID without records.
    """

    def __init__(self, refs: Iterable[DatasetRef] = ()) -> None:
        self._ids = bytearray()
        self._exposures = array("q")
        self._detectors = array("b")
        self._kinds = array("H")
        self._known_kinds: dict[tuple[DatasetType, str], int] = {}
        self.extend(refs)

    def append(self, ref: DatasetRef) -> None:
        """Add a dataset."""
        self._ids += ref.id.bytes
        self._exposures.append(int(ref.dataId["exposure"]))
        self._detectors.append(int(ref.dataId["detector"]))
        self._kinds.append(self._known_kinds.setdefault((ref.datasetType, ref.run), len(self._known_kinds)))

    def extend(self, refs: Iterable[DatasetRef]) -> None:
        """Add datasets."""
        for ref in refs:
            self.append(ref)

    def __len__(self) -> int:
        return len(self._exposures)

    @overload
    def __getitem__(self, index: int) -> DatasetRef: ...
    @overload
    def __getitem__(self, index: slice) -> list[DatasetRef]: ...
    def __getitem__(self, index: int | slice) -> DatasetRef | list[DatasetRef]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        dataset_type, run = list(self._known_kinds)[self._kinds[position]]
        data_id = _data_id(dataset_type, self._exposures[position], self._detectors[position])
        start = position * _ID_BYTES
        identifier = uuid.UUID(bytes=bytes(self._ids[start : start + _ID_BYTES]))
        return DatasetRef(dataset_type, data_id, run=run, id=identifier, conform=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<ImageRefs: {number_of(len(self), 'dataset')}>"

"""Inputs of tasks that follow from neither dimensions nor validity and are looked up: the exposure before.

A look-up function is called for each quantum of a graph. Rubin's graph builder makes a Butler of its own for each
graph, and what is read here is remembered as long as that Butler exists. So most calls ask nothing of the database.
"""

from __future__ import annotations

__all__ = ("LookupFunction", "look_up_inputs", "previous_exposure")

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import astropy.units as u
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, DimensionRecord, Registry, Timespan
from lsst.pipe.base import QuantaAdjuster
from lsst.pipe.base.quantum_graph_skeleton import DatasetKey, QuantumGraphSkeleton

from ..constants import INSTRUMENT
from ..errors import ParameterError
from ..repository.butler_internals import butler_of
from ..repository.image_refs import images_between

LookupFunction: TypeAlias = Callable[[DatasetType, Registry, DataCoordinate, Sequence[str]], Iterable[DatasetRef]]
"""Returns the datasets of a type that a quantum needs, by its data ID, from some collections."""

_SECOND = 10**9  # ns, Butler's unit
_LONGEST_EXPOSURE = 3600 * _SECOND  # real ones take two minutes
_LONGEST_SLEW = 3600 * _SECOND  # real ones have four exposures at most
_WINDOW = 6 * 3600 * _SECOND  # some 160 exposures: few queries for a day's work, and little in vain for one exposure
_LONGEST = 30 * 86_400 * _SECOND


def previous_exposure(
    dataset_type: DatasetType,
    registry: Registry,
    data_id: DataCoordinate,
    collections: Sequence[str],
    *,
    gap: u.Quantity | timedelta | None = None,
) -> list[DatasetRef]:
    """Return the dataset of the exposure before, of the same detector.

    This is a look-up function, as it is, or with a gap by `functools.partial`: the ``lookupFunction`` of a
    `lsst.pipe.base.connectionTypes.PrerequisiteInput`, or what `look_up_inputs` takes.

    Parameters
    ----------
    dataset_type
        What is looked for: of exposure and detector.
    registry
        Of the repository.
    data_id
        Of the quantum, with exposure and detector.
    collections
        Where it is looked for; of several datasets of one exposure the first collection's is taken.
    gap
        At most so much time is between the end of the exposure before and the begin of this one. By default the
        exposure before has to be of the same large slew.

    Returns
    -------
    refs
        One dataset or none.

    Raises
    ------
    ParameterError
        Raised if the gap is no time from 0 to 30 days, or the dataset type is not of exposure and detector.

    Notes
    -----
    The exposure before is the last one to begin earlier of which there is a dataset of this detector: one whose image
    was not published is passed over.
    """
    _require_images(dataset_type)
    limit = None if gap is None else _nanoseconds(gap)
    memory = _MEMORIES.setdefault(butler_of(registry), {})
    key = (dataset_type.nameAndComponent()[0], tuple(collections))
    if key not in memory:
        memory[key] = _Sequences(*key)
    record = _exposure(registry, data_id)
    longest = _LONGEST_SLEW if limit is None else limit
    found = memory[key].before(butler_of(registry), record, int(data_id["detector"]), longest)
    if found is None or (limit is None and found.group != record.group):
        return []
    return [found.ref]


def look_up_inputs(adjuster: QuantaAdjuster, connection: str, look_up: LookupFunction) -> None:
    """Give the quanta of a task further inputs by an ordinary connection, which are looked up for each.

    Rubin's graph builder has look-up functions for prerequisite inputs alone, and takes no dataset type for both: in a
    pipeline whose ordinary input is ``level2``, no task can look one up as a prerequisite. A task calls this in
    `lsst.pipe.base.PipelineTaskConnections.adjust_all_quanta` instead, and its connection is ``multiple``.

    Parameters
    ----------
    adjuster
        Of the task's quanta.
    connection
        The name of the task's connection.
    look_up
        Which datasets of the input collections a quantum gets besides.
    """
    skeleton, graph = adjuster._skeleton, adjuster._pipeline_graph  # noqa: SLF001 - see above
    kind = graph.dataset_types[adjuster.task_node.inputs[connection].parent_dataset_type_name].dataset_type
    butler, added = adjuster.butler, QuantumGraphSkeleton([])
    for data_id in list(adjuster.iter_data_ids()):
        expanded = adjuster.expand_quantum_data_id(data_id)
        for ref in look_up(kind, butler.registry, expanded, butler.collections.defaults):
            if DatasetKey(kind.name, ref.dataId.required_values) not in skeleton:
                # QuantaAdjuster.add_input takes what another quantum has already; the exposure before need not be of
                # the selection. https://github.com/lsst/pipe_base/blob/main/python/lsst/pipe/base/connections.py
                skeleton.add_dataset_node(kind.name, ref.dataId)
                added.set_dataset_ref(ref, added.add_dataset_node(kind.name, ref.dataId))
            adjuster.add_input(data_id, connection, ref.dataId)
    added.attach_dimension_records(butler, graph.get_all_dimensions())  # which looks at all nodes of the other
    skeleton.update(added)


def _require_images(dataset_type: DatasetType) -> None:
    if set(dataset_type.dimensions.required) != {"instrument", "exposure", "detector"}:
        raise ParameterError(
            f"The dataset type {dataset_type.name} is of {', '.join(dataset_type.dimensions.required)}; expected one "
            "of instrument, exposure and detector, of which one exposure follows another."
        )


def _nanoseconds(gap: Any) -> int:
    try:
        seconds = gap.total_seconds() if isinstance(gap, timedelta) else float(u.Quantity(gap).to_value(u.s))
    except (TypeError, ValueError, u.UnitsError) as error:
        raise ParameterError(f"gap={gap!r} is no time ({error}); expected one such as 10 * u.min.") from None
    if not 0 <= seconds * _SECOND <= _LONGEST:
        raise ParameterError(f"gap={gap!r} is out of range; expected a time from 0 to 30 days.")
    return round(seconds * _SECOND)


def _exposure(registry: Registry, data_id: DataCoordinate) -> DimensionRecord:
    expanded = data_id if data_id.hasRecords() else registry.expandDataId(data_id)
    record = expanded.records["exposure"]
    assert record is not None, "an expanded data ID has all records"  # noqa: S101 - for the type checker
    return record


@dataclass(frozen=True, slots=True, order=True)
class _Image:
    """One dataset: when its exposure began and ended, and which large slew it is of."""

    begin: int
    end: int = field(compare=False)
    group: str = field(compare=False)
    ref: DatasetRef = field(compare=False)


@dataclass(slots=True)
class _Sequences:
    """The datasets of a type in some collections, by detector and time, of the windows of time that were looked at."""

    name: str
    collections: tuple[str, ...]
    read: set[int] = field(default_factory=set)
    images: defaultdict[int, list[_Image]] = field(default_factory=lambda: defaultdict(list))

    def before(self, butler: Butler, record: DimensionRecord, detector: int, limit: int) -> _Image | None:
        """Return a detector's last image before an exposure, `None` if it ended longer before than the limit."""
        begin, _ = record.timespan.nsec
        earliest = begin - limit - _LONGEST_EXPOSURE
        for window in range(begin // _WINDOW, earliest // _WINDOW - 1, -1):
            self._read(butler, window)
            images = self.images[detector]
            place = bisect_left(images, begin, key=lambda image: image.begin)
            if place and images[place - 1].begin >= window * _WINDOW:
                found = images[place - 1]
                return found if begin - found.end <= limit else None
        return None

    def _read(self, butler: Butler, window: int) -> None:
        """Read what began in a window of time, unless that was done."""
        if window in self.read:
            return
        self.read.add(window)
        for detector, image in _images(butler, self.name, self.collections, window):
            insort(self.images[detector], image)


def _images(butler: Butler, name: str, collections: Sequence[str], window: int) -> Iterator[tuple[int, _Image]]:
    """Yield detector and dataset of all exposures that began in a window of time."""
    begin, end = window * _WINDOW, (window + 1) * _WINDOW
    with butler.query() as query:
        overlaps = query.expression_factory.exposure.timespan.overlaps(Timespan.model_validate([begin, end]))
        records = query.dimension_records("exposure").where(overlaps, instrument=INSTRUMENT)
        exposures = {record.id: record for record in records if begin <= record.timespan.nsec[0] < end}
        if not exposures:
            return
        refs = query.datasets(name, collections).where(images_between(query, exposures), instrument=INSTRUMENT)
        for ref in refs:
            record = exposures.get(ref.dataId["exposure"])
            if record is not None:
                begun, ended = record.timespan.nsec
                yield int(ref.dataId["detector"]), _Image(begun, ended, record.group, ref)


_MEMORIES: WeakKeyDictionary[Butler, dict[tuple[str, tuple[str, ...]], _Sequences]] = WeakKeyDictionary()
"""What was found, for each Butler."""

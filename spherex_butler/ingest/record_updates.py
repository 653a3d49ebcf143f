"""Updates of exposures and regions that the repository has, from headers that say otherwise."""

from __future__ import annotations

__all__ = ("update_exposures",)

from collections.abc import Iterator, Sequence
from typing import Any

from lsst.daf.butler import Butler, DataCoordinate, DimensionRecord, Timespan
from lsst.sphgeom import ConvexPolygon, LonLat

from ..constants import INSTRUMENT, REGION
from ..images.description import ImageDescription
from ..repository.exposures import data_id_with_records
from ..repository.live_obscore import renew_rows
from ..repository.opened import OpenedRepository
from ..repository.reports import RecordChange

_ELEMENTS = ("exposure", REGION)
_SAME_PLACE = 1e-10  # radians; projections that are computed otherwise differ in the last digits
_SAME_TIME = 5_000_000  # nanoseconds; the detectors of one exposure differ by one to two million


def update_exposures(repository: OpenedRepository, images: Sequence[ImageDescription]) -> list[RecordChange]:
    """Replace the records of images where their headers say something else, and return the changes.

    Times of less than 5 ms apart are the same: the detectors of an exposure
    differ by less, and one of them has to decide.
    """
    if not images:
        return []
    butler = repository.butler
    data_ids = [data_id_with_records(repository, image) for image in reversed(images)]
    changes: list[RecordChange] = []
    with butler.transaction():
        for element in _ELEMENTS:
            records = (data_id.records[element] for data_id in data_ids)
            wanted = {record.dataId: record for record in records if record is not None}
            known = _known(butler, element, {image.observation.exposure_id for image in images})
            found = {key: list(_changes(known.get(key), record)) for key, record in wanted.items()}
            changed = [wanted[key] for key, fields in found.items() if fields]
            butler.registry.insertDimensionData(element, *changed, replace=True)
            changes += [change for key in reversed(found) for change in found[key]]
        if changes:
            stated = {(one.observation.exposure_id, one.detector): one.stated for one in images}
            renew_rows(butler, {exposure for exposure, _ in stated}, stated)
    return changes


def _known(butler: Butler, element: str, exposures: set[int]) -> dict[DataCoordinate, DimensionRecord]:
    with butler.query() as query:
        wanted = query.expression_factory.exposure.in_iterable(exposures)
        records = query.dimension_records(element).where(wanted, instrument=INSTRUMENT)
        return {record.dataId: record for record in records}


def _changes(old: DimensionRecord | None, new: DimensionRecord) -> Iterator[RecordChange]:
    before = {} if old is None else old.toDict()
    for field, value in new.toDict().items():
        if not _equal(before.get(field), value) or old is None:
            data_id = " ".join(str(part) for name, part in new.dataId.required.items() if name != "instrument")
            yield RecordChange(new.definition.name, data_id, field, _text(before.get(field)), _text(value))


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, Timespan) and isinstance(new, Timespan):
        return all(abs(first - second) <= _SAME_TIME for first, second in zip(old.nsec, new.nsec, strict=True))
    if isinstance(old, ConvexPolygon) and isinstance(new, ConvexPolygon):
        corners, others = old.getVertices(), new.getVertices()
        near = ((corner - other).getNorm() <= _SAME_PLACE for corner, other in zip(corners, others, strict=False))
        return len(corners) == len(others) and all(near)
    return bool(old == new)


def _text(value: Any) -> Any:
    """Return a field's value as what JSON can hold."""
    if isinstance(value, ConvexPolygon):
        corners = [LonLat(vertex) for vertex in value.getVertices()]
        return " ".join(f"{corner.getLon().asDegrees():.6f} {corner.getLat().asDegrees():.6f}" for corner in corners)
    return value if value is None or isinstance(value, str | int | float) else str(value)

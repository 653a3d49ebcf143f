"""Dimension records from one repository into another."""

from __future__ import annotations

__all__ = ("Records", "exposure_records", "insert_missing_records", "of_exposures")

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from lsst.daf.butler import Butler, DimensionRecord, DimensionUniverse

from ..constants import INSTRUMENT

Records: TypeAlias = Mapping[str, Mapping[tuple[Any, ...], DimensionRecord]]
"""Dimension records by element, in an order in which they can be inserted, and by the values of their data ID."""


def of_exposures(universe: DimensionUniverse) -> tuple[str, ...]:
    """Return the elements whose records are those of exposures, or what exposures belong to, in order."""
    exposure = universe["exposure"]
    return tuple(
        element.name
        for element in universe.elements
        if element.has_own_table
        and not element.is_cached  # as those of the instrument, which every repository has
        and ("exposure" in element.required or element.name in exposure.implied)
    )


def exposure_records(source: Butler, target: Butler, exposures: Collection[Any]) -> Records:
    """Return what a repository says of exposures, as records of another one."""
    if not exposures:
        return {}
    found: dict[str, dict[tuple[Any, ...], DimensionRecord]] = {}
    with source.query() as query:
        chosen = query.where(query.expression_factory.exposure.in_iterable(exposures), instrument=INSTRUMENT)
        for element in of_exposures(source.dimensions):
            make = target.dimensions[element].RecordClass
            records = (make(**record.toDict()) for record in chosen.dimension_records(element))
            found[element] = {record.dataId.required_values: record for record in records}
    return found


def insert_missing_records(target: Butler, records: Records) -> None:
    """Insert the dimension records that a repository lacks; what it has stays."""
    for element, wanted in records.items():
        if target.dimensions[element].spatial is None:
            target.registry.insertDimensionData(element, *wanted.values(), skip_existing=True)
            continue
        # Not with skip_existing, which would write the pixels of a skipped record.
        known = _known(target, element, wanted)
        new = (record for key, record in wanted.items() if key not in known)
        target.registry.insertDimensionData(element, *new)


def _known(target: Butler, element: str, records: Mapping[tuple[Any, ...], DimensionRecord]) -> set[tuple[Any, ...]]:
    """Return data IDs that have a record already: those of the same exposures, or of all where there is none."""
    with target.query() as query:
        there = query.dimension_records(element)
        if "exposure" in target.dimensions[element].required:
            exposures = {record.dataId["exposure"] for record in records.values()}
            there = there.where(query.expression_factory.exposure.in_iterable(exposures), instrument=INSTRUMENT)
        return {record.dataId.required_values for record in there}

"""Makes ObsCore records of datasets in the SPHEREx universe, for Butler's live tables and for dax_obscore's exports.

Butler finds it by the entry point ``spherex`` of the group ``butler.obscore_factory``. A pipeline with a universe that
extends ours names the same function under its own namespace.
"""

from __future__ import annotations

__all__ = ("SpherexRecordFactory", "record_factory")

from collections.abc import Collection
from typing import Any

import numpy as np
from lsst.daf.butler import DatasetRef, DimensionGroup, DimensionRecord, DimensionUniverse, Timespan
from lsst.daf.butler.registry.obscore import (
    DerivedRegionFactory,
    ObsCoreConfig,
    ObsCoreSchema,
    RecordFactory,
    SpatialObsCorePlugin,
)
from lsst.sphgeom import ConvexPolygon, Region

from ..constants import REGION
from .records import collection_of_run, detector_values, footprints, publisher_did, utc_days

_NO_DETECTOR = 0


class SpherexRecordFactory(RecordFactory):
    """Makes records of datasets with any of our dimensions; those of others are left empty.

    Parameters
    ----------
    config, schema, universe, spatial_plugins, derived_region_factory
        As `lsst.daf.butler.registry.obscore.RecordFactory` has them.
    """

    def __init__(
        self,
        config: ObsCoreConfig,
        schema: ObsCoreSchema,
        universe: DimensionUniverse,
        spatial_plugins: Collection[SpatialObsCorePlugin],
        derived_region_factory: DerivedRegionFactory | None = None,
    ) -> None:
        # Not the base class's, which asks the universe for band, visit and physical_filter.
        self.config = config
        self.schema = schema
        self.universe = universe
        self.spatial_plugins = spatial_plugins
        self.derived_region_factory = derived_region_factory

    def region_dimension(self, dimensions: DimensionGroup) -> tuple[str, str] | tuple[None, None]:
        """Return the element whose records have the regions of datasets, and its field."""
        return (REGION, "region") if REGION in dimensions.elements else (None, None)

    def make_universe_records(self, ref: DatasetRef) -> dict[str, Any]:
        """Return what the dimension records of a dataset say; its data ID has to be expanded."""
        records = ref.dataId.records
        exposure, detector, seen = (
            records[name] if name in ref.dimensions.elements else None for name in ("exposure", "detector", REGION)
        )
        record: dict[str, Any] = {"instrument_name": ref.dataId.get("instrument", self.config.fallback_instrument)}
        record["facility_name"] = self.config.facility_map.get(record["instrument_name"], self.config.facility_name)
        if self.schema.dataset_fk is not None:
            record[self.schema.dataset_fk.name] = ref.id
        if detector is not None:
            record |= detector_values(detector)
        if exposure is not None:
            record |= _exposure_values(exposure)
        number = _NO_DETECTOR if detector is None else detector.id
        record |= self._names(ref, exposure, number)
        record |= self.make_spatial_records(None if seen is None else seen.region, detector=number)
        return record

    def _names(self, ref: DatasetRef, exposure: DimensionRecord | None, detector: int) -> dict[str, Any]:
        collection = collection_of_run(ref.run, None if exposure is None else exposure.science_program)
        identifier = publisher_did(collection, None if exposure is None else exposure.obs_id, detector, ref.id)
        return {"obs_collection": collection or self.config.obs_collection or ref.run, "obs_publisher_did": identifier}

    def make_spatial_records(
        self, region: Region | None, warn: bool = False, msg: str = "", *, detector: int = _NO_DETECTOR
    ) -> dict[str, Any]:
        """Return what follows from a region; without the detector, the middle is that of the circle around it."""
        record = super().make_spatial_records(region, warn=warn, msg=msg)
        if isinstance(region, ConvexPolygon):
            corners = np.array([[list(vertex) for vertex in region.getVertices()]], float)
            (footprint,) = footprints(corners, np.array([detector]))
            record |= footprint._asdict()
        return record


def _exposure_values(exposure: DimensionRecord) -> dict[str, Any]:
    found = {"t_exptime": exposure.exposure_time, "target_name": exposure.target_name}
    if isinstance(timespan := exposure.timespan, Timespan):
        found["t_min"], found["t_max"] = utc_days(np.array(timespan.nsec)).tolist()
    return found


def record_factory() -> type[RecordFactory]:
    """Return the class that makes ObsCore records of the SPHEREx universe."""
    return SpherexRecordFactory

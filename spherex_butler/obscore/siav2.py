"""Queries of dax_obscore's Simple Image Access, in the SPHEREx universe.

dax_obscore finds this by the entry point ``spherex`` of the group ``dax_obscore.siav2``, so that its command
``butler obscore siav2`` and services built on it answer for SPHEREx repositories. Its answers have no ``access_url``,
since its records are made of dimension records alone; `spherex_butler.service` has addresses, and searches faster.
"""

from __future__ import annotations

__all__ = ("SpherexSIAv2Handler", "exporter_config", "siav2_handler")

from collections.abc import Iterable, Sequence
from typing import Any

from lsst.daf.butler import DimensionGroup
from lsst.dax.obscore import ExporterConfig
from lsst.dax.obscore.config import WhereBind
from lsst.dax.obscore.siav2 import Interval, SIAv2DafButlerHandler, SIAv2Handler, SIAv2Parameters
from lsst.sphgeom import Region

from ..configuration.provider import PROVIDER
from ..constants import DEFAULT_COLLECTION, INSTRUMENT
from ..errors import FormatError
from ..names import ObservationId, detector_number
from ..repository.runs import archive_collection, chain_members, release_chains
from .records import detector_values

_DETECTORS = "detectors"
_NOTHING = WhereBind(where="detector = 0")  # there is none


class SpherexSIAv2Handler(SIAv2DafButlerHandler):
    """Turns the parameters of a query into conditions on our dimensions."""

    def process_query(self, parameters: SIAv2Parameters) -> dict[str, list[WhereBind]]:
        """Return the conditions of each dataset type; identifiers and collections are the archive's.

        Several regions are a query each, as lsst.sphgeom finds no HEALPix pixels of a union; what overlaps two of them
        is in the answer twice.
        """
        if parameters.collection:
            searched = self._searched(parameters.collection)
            if not searched:
                return {}
            self.config.collections = searched
        named = [found for text in parameters.id if (found := _named(text)) is not None]
        uris = tuple(text for text in parameters.id if _named(text) is None)
        wheres: dict[str, list[WhereBind]] = {}
        for region in parameters.pos or (None,):
            places = () if region is None else (region,)
            asked = parameters.model_copy(update={"id": uris, "pos": places})
            for name, some in super().process_query(asked).items():
                wheres.setdefault(name, []).extend(some)
        return {name: [_both(one, named) for one in found] for name, found in wheres.items()} if named else wheres

    def _searched(self, collections: Iterable[str]) -> list[str]:
        """Return the chains of releases that the archive's collections stand for."""
        chains = {archive_collection(chain.rpartition("/")[2]): chain for chain in release_chains()}
        found = [chains[name] for name in collections if name in chains]
        return [chain for chain in found if chain_members(self.butler, chain)]

    def get_band_information(
        self,
        instruments: list[str],  # noqa: ARG002  (Butler's signature)
        band_intervals: Iterable[Interval],
    ) -> dict[str, Any]:
        """Return the detectors that see one of some bands."""
        intervals = list(band_intervals)
        found = []
        for record in self.butler.query_dimension_records("detector", instrument=INSTRUMENT, explain=False):
            values = detector_values(record)
            if any(values["em_min"] <= one.end and values["em_max"] >= one.start for one in intervals):
                found.append(record.id)
        return {_DETECTORS: found}

    def from_instrument_or_band(
        self, instruments: list[str], band_info: dict[str, Any], dimensions: DimensionGroup
    ) -> tuple[list[WhereBind], WhereBind | None]:
        """Return conditions on the instrument, and on the detectors that see a band."""
        where = [WhereBind(where="instrument IN (INSTRUMENTS)", bind={"INSTRUMENTS": instruments})]
        if _DETECTORS not in band_info or "detector" not in dimensions:
            return where, None
        numbers = ", ".join(map(str, band_info[_DETECTORS]))
        return where, WhereBind(where=f"detector IN ({numbers})") if numbers else _NOTHING

    def from_pos(self, regions: Sequence[Region], dimensions: DimensionGroup) -> WhereBind | None:
        """Return the condition on regions, `None` for datasets that have none."""
        return super().from_pos(regions, dimensions) if dimensions.region_dimension else None


def _named(text: str) -> tuple[int, int] | None:
    """Return the exposure and detector that an identifier of the archive names, `None` if it is none."""
    observation, _, detector = text.partition("?")[2].partition("/")
    try:
        return ObservationId.parse(observation).exposure_id, detector_number(detector)
    except FormatError:
        return None


def _both(where: WhereBind, named: Sequence[tuple[int, int]]) -> WhereBind:
    images = " OR ".join(f"(exposure = {exposure} AND detector = {detector})" for exposure, detector in named)
    return WhereBind.combine([where, WhereBind(where=images)]) if where.where else WhereBind(where=images)


def exporter_config(collections: Iterable[str] = (DEFAULT_COLLECTION,)) -> ExporterConfig:
    """Return the configuration of dax_obscore's exports and queries, for repositories of ours."""
    return ExporterConfig.model_validate({**PROVIDER.obscore().toDict(), "collections": list(collections)})


def siav2_handler() -> type[SIAv2Handler]:
    """Return the class that turns queries into conditions in the SPHEREx universe."""
    return SpherexSIAv2Handler

"""Dimension records of images: their planning period, large slew, exposure and region on the sky."""

from __future__ import annotations

__all__ = ("INSTRUMENT", "expanded_data_ids", "insert_exposures", "sky_region")

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DimensionRecord, Timespan
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from .headers import ImageDescription

INSTRUMENT = "SPHEREx"


def sky_region(corners: Iterable[tuple[float, float]]) -> ConvexPolygon:
    """Return the region within corners given as ICRS right ascension and declination in degrees."""
    radians = np.radians(list(corners))
    return ConvexPolygon([UnitVector3d(*_direction(ra, dec)) for ra, dec in radians])


def _direction(ra: float, dec: float) -> tuple[float, float, float]:
    return float(np.cos(dec) * np.cos(ra)), float(np.cos(dec) * np.sin(ra)), float(np.sin(dec))


def insert_exposures(butler: Butler, images: Sequence[ImageDescription]) -> None:
    """Insert the dimension records that images need and the repository lacks.

    Of the images of one exposure, in this call or any other, the first
    decides the exposure's record: the others differ by about a millisecond.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository, best in a transaction.
    images
        What the headers say.
    """
    exposures = {image.observation.exposure_id: image for image in reversed(images)}
    for element, make in _RECORDS.items():
        unique = {record["id" if element == "exposure" else "name"]: record for record in map(make, exposures.values())}
        records = [_record(butler, element, **fields) for fields in unique.values()]
        butler.registry.insertDimensionData(element, *records, skip_existing=True)
    _insert_regions(butler, images)


def _insert_regions(butler: Butler, images: Sequence[ImageDescription]) -> None:
    """Insert the regions that are missing.

    Not with ``skip_existing``, which for a spatial element would write the
    pixels that the skipped record overlaps.
    """
    element = "exposure_detector_region"
    wanted = {(image.observation.exposure_id, image.detector): image for image in reversed(images)}
    with butler.query() as query:
        exposures = query.expression_factory.exposure.in_iterable({exposure for exposure, _ in wanted})
        known = {
            (record.exposure, record.detector)
            for record in query.dimension_records(element).where(exposures, instrument=INSTRUMENT)
        }
    records = [
        _record(butler, element, exposure=exposure, detector=detector, region=_region(image))
        for (exposure, detector), image in wanted.items()
        if (exposure, detector) not in known
    ]
    butler.registry.insertDimensionData(element, *records)


def expanded_data_ids(butler: Butler, images: Sequence[ImageDescription]) -> dict[tuple[int, int], DataCoordinate]:
    """Return the data IDs of images by exposure and detector, with their dimension records."""
    with butler.query() as query:
        wanted = query.expression_factory.exposure.in_iterable({image.observation.exposure_id for image in images})
        data_ids = query.data_ids(["exposure", "detector"]).where(wanted, instrument=INSTRUMENT)
        return {(int(d["exposure"]), int(d["detector"])): d for d in data_ids.with_dimension_records()}


def _record(butler: Butler, element: str, **fields: Any) -> DimensionRecord:
    return butler.dimensions[element].RecordClass(instrument=INSTRUMENT, **fields)


def _planning_period(image: ImageDescription) -> dict[str, Any]:
    return {"name": image.observation.planning_period}


def _group(image: ImageDescription) -> dict[str, Any]:
    return {"name": image.observation.group, "planning_period": image.observation.planning_period}


def _exposure(image: ImageDescription) -> dict[str, Any]:
    observation = image.observation
    times = Time([image.begin, image.end], format="mjd", scale="utc").tai
    return {
        "id": observation.exposure_id,
        "obs_id": str(observation),
        "group": observation.group,
        "planning_period": observation.planning_period,
        "timespan": Timespan(*times),
        "large_slew": observation.large_slew,
        "small_slew": observation.small_slew,
        "observation_type": "science",
        "has_simulated": False,
        **image.fields,
    }


_RECORDS = {"planning_period": _planning_period, "group": _group, "exposure": _exposure}


def _region(image: ImageDescription) -> ConvexPolygon | None:
    return None if image.corners is None else sky_region(image.corners)

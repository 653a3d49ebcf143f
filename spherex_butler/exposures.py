"""Dimension records of images: their planning period, large slew, exposure and region on the sky."""

from __future__ import annotations

__all__ = ("data_id_with_records", "insert_exposures", "instrument_records", "sky_region")

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DimensionRecord, Timespan
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from .conventions import INSTRUMENT
from .errors import ConfigurationError
from .headers import ImageDescription


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
    wanted = {(image.observation.exposure_id, image.detector): image for image in reversed(images)}
    with butler.query() as query:
        exposures = query.expression_factory.exposure.in_iterable({exposure for exposure, _ in wanted})
        known = {
            (record.exposure, record.detector)
            for record in query.dimension_records(_REGION).where(exposures, instrument=INSTRUMENT)
        }
    records = [_region_record(butler, image) for key, image in wanted.items() if key not in known]
    butler.registry.insertDimensionData(_REGION, *records)


def data_id_with_records(
    butler: Butler, image: ImageDescription, registered: Mapping[int | str, DimensionRecord]
) -> DataCoordinate:
    """Return an image's data ID with dimension records made from its header.

    File names follow from them before anything is inserted.

    Parameters
    ----------
    butler
        A SPHEREx repository.
    image
        What the header says.
    registered
        What `instrument_records` returned.
    """
    exposure = image.observation.exposure_id
    data_id = DataCoordinate.standardize(
        instrument=INSTRUMENT, exposure=exposure, detector=image.detector, universe=butler.dimensions
    )
    records: dict[str, DimensionRecord | None] = dict.fromkeys(data_id.dimensions.elements)
    records |= {element: _record(butler, element, **make(image)) for element, make in _RECORDS.items()}
    records |= {"instrument": registered[INSTRUMENT], "detector": registered[image.detector]}
    return data_id.expanded(records | {_REGION: _region_record(butler, image)})


def instrument_records(butler: Butler) -> dict[int | str, DimensionRecord]:
    """Return the records of the instrument, by its name, and of its detectors, by number.

    Raises
    ------
    ConfigurationError
        Raised if the repository has another universe, or they are not registered.
    """
    missing = sorted({*_RECORDS, _REGION} - set(butler.dimensions.elements.names))
    if missing:
        raise ConfigurationError(
            f"The repository's universe {butler.dimensions} has no {missing}; expected the SPHEREx universe or an "
            "extension of it, as spherex_butler.make_repo gives."
        )
    records: dict[int | str, DimensionRecord] = {}
    with butler.query() as query:
        for record in query.dimension_records("instrument").where(_OURS):
            records[INSTRUMENT] = record
            records |= {detector.id: detector for detector in query.dimension_records("detector").where(_OURS)}
    if len(records) != 1 + _DETECTORS:
        raise ConfigurationError(
            f"The repository has {len(records)} records of the instrument {INSTRUMENT!r} and its detectors; expected "
            f"{1 + _DETECTORS}, as spherex_butler.make_repo registers."
        )
    return records


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
_REGION = "exposure_detector_region"
_OURS = f"instrument = '{INSTRUMENT}'"
_DETECTORS = 6


def _region_record(butler: Butler, image: ImageDescription) -> DimensionRecord:
    region = None if image.corners is None else sky_region(image.corners)
    exposure = image.observation.exposure_id
    return _record(butler, _REGION, exposure=exposure, detector=image.detector, region=region)

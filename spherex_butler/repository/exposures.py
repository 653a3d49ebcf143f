"""Dimension records of images: their planning period, large slew, exposure and region on the sky."""

from __future__ import annotations

__all__ = (
    "data_id_with_records",
    "insert_exposures",
    "sky_pixels",
    "sky_region",
)

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DimensionRecord, Timespan
from lsst.sphgeom import (
    Angle,
    Box,
    ConvexPolygon,
    LonLat,
    NormalizedAngleInterval,
    PixelizationABC,
    Region,
    UnitVector3d,
)

from ..constants import INSTRUMENT, REGION
from ..errors import FormatError
from ..images.description import ImageDescription
from .opened import OpenedRepository
from .times import nanoseconds_of

_BOX_MARGIN = Angle(1e-9)  # radians

RegionInserter = Callable[[Butler, Sequence[DimensionRecord]], None]


def sky_region(corners: Iterable[tuple[float, float]]) -> ConvexPolygon:
    """Return the region within corners given as ICRS right ascension and declination in degrees."""
    places = list(corners)
    try:
        return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*corner)) for corner in places])
    except ValueError as error:
        raise FormatError(f"The corners at RA, Dec {places} enclose no convex region: {error}") from error


def sky_pixels(pixelization: PixelizationABC, region: Region) -> list[int]:
    """Return the pixels of the sky that a region overlaps."""
    parts = _box_parts(region) if isinstance(region, Box) and not region.isEmpty() else [region]
    found = {pixel for part in parts for begin, end in pixelization.envelope(part) for pixel in range(begin, end)}
    return sorted(found)


def _box_parts(box: Box) -> list[Region]:
    """Return boxes that together cover a box, and of which sphgeom finds the pixels.

    ``HealpixPixelization.envelope`` finds none, as of sphgeom 30 with hpgeom 1.6, for a box over all longitudes, since
    ``hpgeom.query_box`` takes 2 pi for 0, and for a box without area.
    """
    wide = box.dilatedBy(_BOX_MARGIN)
    if not wide.getLon().isFull():
        return [wide]
    halves = (NormalizedAngleInterval.fromDegrees(begin, begin + 180) for begin in (0, 180))
    return [Box(longitudes, wide.getLat()) for longitudes in halves]


def insert_exposures(
    butler: Butler, images: Sequence[ImageDescription], *, insert_regions: RegionInserter | None = None
) -> None:
    """Insert the dimension records that images need and the repository lacks.

    Of the images of one exposure, in this call or any other, the first
    decides the exposure's record: the others differ by about a millisecond.
    """
    exposures = list({image.observation.exposure_id: image for image in reversed(images)}.values())
    for element, records in _exposure_records(butler, exposures).items():
        butler.registry.insertDimensionData(element, *records, skip_existing=True)
    records = _missing_regions(butler, images)
    if insert_regions is None:
        butler.registry.insertDimensionData(REGION, *records)
    else:
        insert_regions(butler, records)


def _exposure_records(butler: Butler, images: Sequence[ImageDescription]) -> dict[str, list[DimensionRecord]]:
    """Return the records of exposures and what they imply, in order of insertion."""
    periods = dict.fromkeys(image.observation.planning_period for image in images)
    groups = {image.observation.group: image.observation.planning_period for image in images}
    timespans = _timespans(images)
    return {
        "planning_period": [_record(butler, "planning_period", name=name) for name in periods],
        "group": [_record(butler, "group", name=name, planning_period=period) for name, period in groups.items()],
        "exposure": [
            _record(butler, "exposure", **_exposure(image), timespan=timespan)
            for image, timespan in zip(images, timespans, strict=True)
        ],
    }


def _timespans(images: Sequence[ImageDescription]) -> list[Timespan]:
    """Return when exposures were taken; all at once, as each conversion by itself would take 0.3 ms."""
    times = Time([[image.begin, image.end] for image in images], format="mjd", scale="utc")
    return [Timespan.model_validate(span) for span in nanoseconds_of(times).tolist()]


def _missing_regions(butler: Butler, images: Sequence[ImageDescription]) -> list[DimensionRecord]:
    """Return the records of those regions that the repository lacks.

    Not inserted with ``skip_existing``, which for a spatial element would write the
    pixels that the skipped record overlaps.
    """
    wanted = {(image.observation.exposure_id, image.detector): image for image in reversed(images)}
    with butler.query() as query:
        exposures = query.expression_factory.exposure.in_iterable({exposure for exposure, _ in wanted})
        known = {
            (record.exposure, record.detector)
            for record in query.dimension_records(REGION).where(exposures, instrument=INSTRUMENT)
        }
    return [_region_record(butler, image) for key, image in wanted.items() if key not in known]


def data_id_with_records(repository: OpenedRepository, image: ImageDescription) -> DataCoordinate:
    """Return an image's data ID with dimension records made from its header.

    File names follow from them before anything is inserted.
    """
    butler = repository.butler
    exposure = image.observation.exposure_id
    data_id = DataCoordinate.standardize(
        instrument=INSTRUMENT, exposure=exposure, detector=image.detector, universe=butler.dimensions
    )
    records: dict[str, DimensionRecord | None] = dict.fromkeys(data_id.dimensions.elements)
    records |= {element: record for element, (record,) in _exposure_records(butler, [image]).items()}
    records |= {"instrument": repository.instrument, "detector": repository.detectors[image.detector]}
    return data_id.expanded(records | {REGION: _region_record(butler, image)})


def _record(butler: Butler, element: str, **fields: Any) -> DimensionRecord:
    return butler.dimensions[element].RecordClass(instrument=INSTRUMENT, **fields)


def _exposure(image: ImageDescription) -> dict[str, Any]:
    observation = image.observation
    return {
        "id": observation.exposure_id,
        "obs_id": str(observation),
        "group": observation.group,
        "planning_period": observation.planning_period,
        "large_slew": observation.large_slew,
        "small_slew": observation.small_slew,
        "observation_type": "science",
        "has_simulated": False,
        **image.fields,
    }


def _region_record(butler: Butler, image: ImageDescription) -> DimensionRecord:
    region = None if image.corners is None else sky_region(image.corners)
    exposure = image.observation.exposure_id
    return _record(butler, REGION, exposure=exposure, detector=image.detector, region=region)

"""Detector and time of an image, from a data ID, a dataset or the image itself."""

from __future__ import annotations

__all__ = ("Image", "Subject", "subject_of")

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, DimensionRecord, Timespan

from ..constants import INSTRUMENT
from ..errors import ParameterError
from ..formats.fits.lazy_header import LazyHeader
from ..images.description import describe_image
from ..images.spectral_image import SpectralImage
from ..names import ObservationId

Image: TypeAlias = Mapping[str, Any] | DataCoordinate | DatasetRef | SpectralImage
"""What an image may be given as."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An image as calibrations are looked up for it.

    Parameters
    ----------
    text
        What it is, in words.
    data_id
        Its dimensions.
    timespan
        When it was taken; TAI.
    """

    text: str
    data_id: Mapping[str, Any]
    timespan: Timespan

    def values(self, dataset_type: DatasetType) -> tuple[Any, ...]:
        """Return the values of the dimensions a dataset type needs.

        Raises
        ------
        ParameterError
            Raised if one is not known.
        """
        names = dataset_type.dimensions.required
        missing = [name for name in names if name not in self.data_id]
        if missing:
            raise ParameterError(
                f"{dict(self.data_id)} has no {missing}, by which {dataset_type.name!r} is looked up; add it."
            )
        return tuple(self.data_id[name] for name in names)


def subject_of(butler: Butler, image: Image) -> Subject:
    """Return detector and time of an image, by which its calibrations are looked up.

    Parameters
    ----------
    butler
        The repository.
    image
        A data ID or a dataset of a registered exposure, or an image: the time is that of its exposure as it is
        registered, else as its header has it.

    Raises
    ------
    ParameterError
        Raised if it is neither, or its exposure or time is not known.
    """
    if isinstance(image, SpectralImage):
        return _of_image(butler, image)
    given = image.dataId if isinstance(image, DatasetRef) else image
    if not isinstance(given, Mapping | DataCoordinate):
        raise ParameterError(f"{image!r} is not an image; expected a data ID, a DatasetRef or a SpectralImage.")
    data_id = {"instrument": INSTRUMENT, **(given.mapping if isinstance(given, DataCoordinate) else given)}
    if "exposure" not in data_id:
        raise ParameterError(f"{data_id} has no exposure, so that its time is not known; add exposure=….")
    record = _exposure(butler, data_id["exposure"])
    if record is None:
        raise ParameterError(f"The exposure {data_id['exposure']!r} is not registered; ingest an image of it first.")
    return Subject(_describe(data_id, record.obs_id), data_id, record.timespan)


def _of_image(butler: Butler, image: SpectralImage) -> Subject:
    if image.obs_id is None or image.detector is None:
        raise ParameterError(
            f"The image's header says OBSID {image.obs_id!r} and DETECTOR {image.detector!r}, by which calibrations "
            "are looked up; give a data ID instead."
        )
    exposure = ObservationId.parse(image.obs_id).exposure_id
    data_id = {"instrument": INSTRUMENT, "exposure": exposure, "detector": image.detector}
    record = _exposure(butler, exposure)
    timespan = _header_timespan(image) if record is None else record.timespan
    return Subject(_describe(data_id, image.obs_id), data_id, timespan)


def _header_timespan(image: SpectralImage) -> Timespan:
    described = describe_image(LazyHeader(image.image_header), image.data.shape)
    return Timespan(*Time([described.begin, described.end], format="mjd", scale="utc").tai)


def _exposure(butler: Butler, exposure: Any) -> DimensionRecord | None:
    with butler.query() as query:
        records = query.dimension_records("exposure").where(instrument=INSTRUMENT, exposure=exposure)
        return next(iter(records), None)


def _describe(data_id: Mapping[str, Any], obs_id: str) -> str:
    detector = f", detector {data_id['detector']}" if "detector" in data_id else ""
    return f"exposure {data_id['exposure']} ({obs_id}){detector}"

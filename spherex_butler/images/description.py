"""What the header of a Level 2 image says about its exposure: which card gives which field of a dimension record."""

from __future__ import annotations

__all__ = ("MJD_RANGE", "ImageDescription", "describe_image", "description_of")

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from astropy.coordinates import BarycentricMeanEcliptic
from numpy.typing import NDArray

from ..constants import DETECTORS
from ..errors import FormatError
from ..formats.fits.lazy_header import LazyHeader
from ..names import ObservationId
from .geometry import corners_and_center, direction_of, frame_axes, longitude_latitude, tangents_of

_FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "exposure_time": ("XPOSURE", lambda value: _duration("XPOSURE", value)),
    "target_name": ("SPS_TARGET", lambda number: f"SPS_{number}"),
    "science_program": ("SPS_FLAGS", lambda text: str(text).strip()),
    "observation_reason": (
        "NON_SURVEY",
        lambda text: "calibration" if str(text).strip() == "True" else "survey",
    ),
}
"""Fields of an exposure record: the card that gives each, and the function that converts it."""

MJD_RANGE = (60_000.0, 80_000.0)
"""Times the mission can have, in MJD; it was launched on 60745.  Julian dates and seconds are far outside."""

_LONGEST = 86_400
"""Seconds: a day, as MJD-BEG and MJD-END may be apart."""

_REQUIRED = ("OBSID", "DETECTOR", "MJD-BEG", "MJD-END")


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """What the records of an image's exposure and of its region on the sky are made from.

    Times are MJD, UTC.  ``fields`` are those of the exposure record besides its
    ids and timespan, the same for all detectors.  ``corners`` are as of
    `.geometry.corners_and_center`.  ``expidn`` is the header's integer exposure id,
    with the detector as last digit.  ``stated`` is what else is known of ObsCore's
    columns, by name: no record keeps it, only a live table of ObsCore.
    """

    observation: ObservationId
    detector: int
    begin: float
    end: float
    fields: Mapping[str, Any]
    corners: tuple[tuple[float, float], ...] | None
    expidn: int | None
    stated: Mapping[str, Any] = field(default_factory=dict)

    @property
    def expected_expidn(self) -> int:
        """The integer exposure id that follows from the observation id and the detector."""
        return self.observation.exposure_id * 10 + self.detector


def describe_image(header: LazyHeader, shape: tuple[int, ...]) -> ImageDescription:
    """Return what the IMAGE header of an image of ``shape`` says about its exposure."""
    if len(shape) != 2 or 0 in shape:
        raise FormatError(f"HDU 'IMAGE' has shape {shape}; expected two axes with pixels (NAXIS, NAXIS1, NAXIS2).")
    obs_id, detector, begin, end = (_required(header, keyword) for keyword in _REQUIRED)
    if detector not in DETECTORS:
        raise FormatError(f"DETECTOR is {detector!r}; expected a number from {min(DETECTORS)} to {max(DETECTORS)}.")
    begin, end = _number("MJD-BEG", begin), _number("MJD-END", end)
    if not (MJD_RANGE[0] < begin < end < MJD_RANGE[1] and end - begin <= 1):
        raise FormatError(f"MJD-BEG is {begin!r}, MJD-END is {end!r}; expected two MJD in order, at most a day apart.")
    corners, center = corners_and_center(header, shape) or (None, None)
    return ImageDescription(
        observation=ObservationId.parse(str(obs_id).strip()),
        detector=int(detector),
        begin=begin,
        end=end,
        fields={**_simple_fields(header), **_pointing(header)},
        corners=corners,
        expidn=header.get("EXPIDN"),
        stated={} if center is None else dict(zip(("s_ra", "s_dec"), center, strict=True)),
    )


def description_of(image: Any) -> ImageDescription:
    """Return what the header of an image in memory, a `SpectralImage`, says about its exposure."""
    return describe_image(image._headers.image, image.data.shape)


def _required(header: LazyHeader, keyword: str) -> Any:
    value = header.get(keyword)
    if value is None:
        raise FormatError(f"The IMAGE header has no {keyword}; a Level 2 image has {', '.join(_REQUIRED)}.")
    return value


def _simple_fields(header: LazyHeader) -> dict[str, Any]:
    found = {name: (header.get(keyword), convert) for name, (keyword, convert) in _FIELDS.items()}
    return {name: None if value is None else convert(value) for name, (value, convert) in found.items()}


def _number(keyword: str, value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise FormatError(f"{keyword} is {value!r}; expected a number.")
    return float(value)


def _duration(keyword: str, value: Any) -> float:
    seconds = _number(keyword, value)
    if not 0 < seconds <= _LONGEST:
        raise FormatError(f"{keyword} is {value!r}; expected more than 0 and at most {_LONGEST} seconds.")
    return seconds


def _pointing(header: LazyHeader) -> dict[str, float | None]:
    """Return the boresight and position angle of the focal plane, ICRS degrees.

    They come from the planned pointing, which the headers of all detectors
    share, as an exposure record has one value for all.  It is in ecliptic coordinates.
    """
    planned = {keyword: header.get(keyword) for keyword in ("SPS_ELON", "SPS_ELAT", "SPS_EPA")}
    missing = None in planned.values()
    values = (None, None, None) if missing else _icrs_pointing(*(_number(*card) for card in planned.items()))
    return dict(zip(("tracking_ra", "tracking_dec", "sky_angle"), values, strict=True))


def _icrs_pointing(longitude: float, latitude: float, angle: float) -> tuple[float, float, float]:
    if not -90 <= latitude <= 90:
        raise FormatError(f"SPS_ELAT is {latitude!r}; expected a latitude from -90 to 90 degrees.")
    east, north = tangents_of(longitude, latitude)
    toward = np.cos(np.radians(angle)) * north + np.sin(np.radians(angle)) * east
    point, toward = np.array([direction_of(longitude, latitude), toward]) @ _ecliptic_axes()
    ra, dec = longitude_latitude(point)
    east, north = tangents_of(ra, dec)
    sky_angle = np.degrees(np.arctan2(toward @ east, toward @ north)) % 360
    return float(ra), float(dec), float(sky_angle)


@cache
def _ecliptic_axes() -> NDArray[np.float64]:
    """Return the axes of the mean ecliptic of J2000 in ICRS, a row each."""
    return frame_axes(BarycentricMeanEcliptic())

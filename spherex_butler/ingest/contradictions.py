"""Whether headers and the repository's records tell the same of an exposure and of where its images lie on the sky.

The first image of an exposure to arrive decides its record, and the first
processing of an image its region.  What later ones say must be the same moment
and the same place, as calibrations are looked up by the one and images by the
other.
"""

from __future__ import annotations

__all__ = ("Contradiction", "KnownRecords", "contradictions", "known_records", "require_no_contradiction")

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from astropy.time import Time
from lsst.daf.butler import Butler
from lsst.sphgeom import ConvexPolygon, LonLat, Region, UnitVector3d

from ..constants import INSTRUMENT, REGION
from ..errors import FormatError
from ..images.description import MJD_RANGE, ImageDescription
from ..repository.exposures import sky_region

SAME_TIME = 0.5
"""Seconds: the detectors of an exposure differ by two milliseconds, and archive tables round times to 0.09 s."""

SAME_PLACE = math.radians(1 / 60)
"""Radians: one arcminute, ten pixels; the processings of an image differ by less than an arcsecond."""

NEAR_PLACE = math.radians(0.1)
"""Radians: six arcminutes, the width of a usual cutout.  Within it a better pointing is believed, and warned of: a
search misses, or finds for nothing, only what is so near to an image's edge."""

_Span: TypeAlias = tuple[float, float]
_Place: TypeAlias = tuple[float, float]
_EPOCH = 40_587.0  # the MJD of 1970

_Corners: TypeAlias = tuple[_Place, ...]
_Key: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What an image's header says otherwise than a record.

    Parameters
    ----------
    element
        What it is a record of: ``exposure`` or ``exposure_detector_region``.
    message
        What the record says, and what the header.
    serious
        Whether the two cannot be of the same image: another moment or another place on the sky.
    """

    element: str
    message: str
    serious: bool

    def __str__(self) -> str:
        return self.message


@dataclass(slots=True)
class KnownRecords:
    """What is known of exposures, by id, and of regions, by exposure and detector; ``exposures`` are those on record.

    ``times`` are begin and end as MJD, UTC, and ``pointings`` right ascension and declination in degrees, where they
    are known; ``regions`` are `None` for images without, and corners as headers have them.
    """

    exposures: set[int] = field(default_factory=set)
    times: dict[int, _Span] = field(default_factory=dict)
    pointings: dict[int, _Place] = field(default_factory=dict)
    regions: dict[_Key, Region | _Corners | None] = field(default_factory=dict)

    def add(self, image: ImageDescription) -> None:
        """Add what an image's header says where nothing is known."""
        exposure = image.observation.exposure_id
        self.times.setdefault(exposure, (image.begin, image.end))
        if (pointing := _pointing(image)) is not None:
            self.pointings.setdefault(exposure, pointing)
        self.regions.setdefault((exposure, image.detector), image.corners)


def known_records(butler: Butler, exposures: Collection[int]) -> KnownRecords:
    """Return what the registry has of exposures and the regions of their images."""
    known = KnownRecords()
    if not exposures:
        return known
    with butler.query() as query:
        wanted = query.where(query.expression_factory.exposure.in_iterable(exposures), instrument=INSTRUMENT)
        spans: dict[int, Sequence[int]] = {}
        for record in wanted.dimension_records("exposure"):
            known.exposures.add(record.id)
            if record.timespan is not None:
                spans[record.id] = record.timespan.nsec
            if None not in {record.tracking_ra, record.tracking_dec}:
                known.pointings[record.id] = (record.tracking_ra, record.tracking_dec)
        if known.exposures:
            records = wanted.dimension_records(REGION)
            known.regions = {(record.exposure, record.detector): record.region for record in records}
    known.times = _mjd(spans)
    return known


def _mjd(spans: Mapping[int, Sequence[int]]) -> dict[int, _Span]:
    """Return as MJD, UTC, what Butler has in TAI nanoseconds since 1970; all at once, as one alone takes 0.3 ms."""
    days = np.array(list(spans.values()), float).reshape(-1, 2) / 86_400e9
    usual = ((days > MJD_RANGE[0] - _EPOCH) & (days < MJD_RANGE[1] - _EPOCH)).all(axis=1)
    ids = np.array(list(spans), np.int64)[usual].tolist()
    if not ids:
        return {}
    times = Time(np.full((len(ids), 2), _EPOCH), days[usual], format="mjd", scale="tai").utc.mjd
    return {exposure: (begin, end) for exposure, (begin, end) in zip(ids, times.tolist(), strict=True)}


def contradictions(image: ImageDescription, known: KnownRecords) -> list[Contradiction]:
    """Return what an image's header says otherwise than what is known."""
    found = (_time(image, known), _tracking(image, known), _place(image, known))
    return [one for one in found if one is not None]


def require_no_contradiction(found: Sequence[Contradiction], *, remedy: str) -> None:
    """Refuse an image that cannot be what is on record."""
    serious = [str(one) for one in found if one.serious]
    if serious:
        raise FormatError(f"{'; '.join(serious)}; nothing was changed. If the header is right, {remedy}.")


def _time(image: ImageDescription, known: KnownRecords) -> Contradiction | None:
    here = (image.begin, image.end)
    there = known.times.get(image.observation.exposure_id, here)
    if 86_400 * max(abs(here[0] - there[0]), abs(here[1] - there[1])) <= SAME_TIME:
        return None
    message = f"the exposure is known to be from {_utc(there)} (UTC), and is from {_utc(here)} by this header"
    # Spans that overlap are of one exposure, told better or worse: calibrations and times still find it.
    return Contradiction("exposure", message, serious=here[0] >= there[1] or there[0] >= here[1])


def _tracking(image: ImageDescription, known: KnownRecords) -> Contradiction | None:
    there, here = known.pointings.get(image.observation.exposure_id), _pointing(image)
    if there is None or here is None or there == here:
        return None
    apart = _separation(_vector(there), _vector(here))
    if apart <= SAME_PLACE:
        return None
    message = f"{_places('telescope is known to point at', there, here)}, {_angle(apart)} away"
    return Contradiction("exposure", message, serious=apart > NEAR_PLACE)


def _place(image: ImageDescription, known: KnownRecords) -> Contradiction | None:
    key = image.observation.exposure_id, image.detector
    if key not in known.regions:
        return None
    there, here = known.regions[key], image.corners
    if there is None or here is None:
        if there is here:
            return None
        known_and_found = ("no region" if region is None else "a region" for region in (there, here))
        message = "the image is known to have {}, and has {} by this header".format(*known_and_found)
        return Contradiction(REGION, message, serious=False)
    return None if there == here else _apart(there, here)


def _apart(there: Region | _Corners, here: _Corners) -> Contradiction | None:
    region, known_region = sky_region(here), sky_region(there) if isinstance(there, tuple) else there
    if not isinstance(known_region, ConvexPolygon):  # a user's own
        return None
    if _are_alike(region.getVertices(), known_region.getVertices()):
        return None
    beyond = _overhang(region, known_region)
    if beyond <= SAME_PLACE:  # as it is of the archive's cutouts
        return None
    serious = min(beyond, _overhang(known_region, region)) > NEAR_PLACE
    centers = [polygon.getCentroid() for polygon in (known_region, region)]
    how = f"{_angle(_separation(*centers))} away" if serious else f"{_angle(beyond)} beyond what is known"
    message = f"{_places('image is known to be at', *map(_degrees, centers))}, {how}"
    return Contradiction(REGION, message, serious=serious)


def _are_alike(vertices: Sequence[UnitVector3d], others: Sequence[UnitVector3d]) -> bool:
    """Return whether polygons that begin at the same corner are in the same place."""
    pairs = zip(vertices, others, strict=False)
    return len(vertices) == len(others) and all((one - other).getNorm() <= SAME_PLACE for one, other in pairs)


def _places(what: str, there: _Place, here: _Place) -> str:
    known, found = (f"RA {ra:.4f}°, Dec {dec:.4f}°" for ra, dec in (there, here))
    return f"the {what} {known}, and is at {found} by this header"


def _angle(radians: float) -> str:
    degrees = math.degrees(radians)
    return f"{degrees:.1f}°" if degrees >= 1 else f"{60 * degrees:.1f}'"


def _utc(span: _Span) -> str:
    begin, end = Time(span, format="mjd", scale="utc").isot
    return f"{begin} to {end}"


def _pointing(image: ImageDescription) -> _Place | None:
    ra, dec = image.fields.get("tracking_ra"), image.fields.get("tracking_dec")
    return None if ra is None or dec is None else (ra, dec)


def _vector(place: _Place) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(*place))


def _degrees(direction: UnitVector3d) -> _Place:
    place = LonLat(direction)
    return place.getLon().asDegrees() % 360, place.getLat().asDegrees()


def _separation(first: UnitVector3d, second: UnitVector3d) -> float:
    """Return the angle between directions in radians, exact also where it is small."""
    return 2 * math.asin(min(1.0, (first - second).getNorm() / 2))


def _overhang(region: ConvexPolygon, other: ConvexPolygon) -> float:
    """Return how far a region reaches beyond the sides of another, in radians; less than 0 if it is inside."""
    corners = other.getVertices()
    sides = [UnitVector3d.orthogonalTo(*pair) for pair in zip(corners, [*corners[1:], corners[0]], strict=True)]
    return math.asin(max(-vertex.dot(side) for vertex in region.getVertices() for side in sides))

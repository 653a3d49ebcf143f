"""What ObsCore says of an image, from what the registry knows: the values of its columns that differ from others'.

They are those of the archive's own tables (``https://irsa.ipac.caltech.edu/SIA?COLLECTION=spherex_qr2``). Columns that
are the same for all images stand in ``configs/repository/obscore.yaml``.
"""

from __future__ import annotations

__all__ = (
    "Footprint",
    "collection_of_run",
    "constant_values",
    "detector_values",
    "footprints",
    "publisher_did",
    "utc_days",
)

import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import erfa
import numpy as np
from lsst.daf.butler import Config, DimensionRecord
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ..configuration.provider import PROVIDER
from ..constants import DATASET_TYPE, FULL_FRAME
from ..paths import config_uri
from ..repository.runs import archive_collection, release_of_run
from ..search.frames import FrameMap, are_full_frames, stored_corners
from ..search.regions import Vectors, circles

_DEEP = "deep"
_PUBLISHER = "ivo://irsa.ipac/"
_PIXEL = 6.15  # arcsec
_MJD = 2_400_000.5
_EPOCH = 2_440_587.5  # Julian date of Butler's time 0
_DAY = 86_400 * 10**9  # ns


class Footprint(NamedTuple):
    """Where an image is; the values of ObsCore's columns of these names."""

    s_ra: float
    s_dec: float
    s_fov: float
    s_region: str
    s_xel1: int | None
    s_xel2: int | None


@cache
def constant_values() -> Mapping[str, Any]:
    """Return what is the same for all images, by column."""
    config = PROVIDER.obscore()
    given = config["dataset_types", DATASET_TYPE].toDict()
    kind: dict[str, Any] = {
        name: given[name] for name in ("dataproduct_type", "dataproduct_subtype", "calib_level", "access_format")
    }
    names: dict[str, Any] = {"facility_name": config["facility_name"], "instrument_name": config["fallback_instrument"]}
    return {**kind, **given["extra_columns"], **names}


def detector_values(detector: DimensionRecord) -> dict[str, Any]:
    """Return what is the same for all images of a detector, from its record."""
    return {
        "em_min": _metres(detector.wavelength_min),
        "em_max": _metres(detector.wavelength_max),
        "em_res_power": detector.resolving_power,
        "energy_bandpassname": f"SPHEREx-{detector.full_name}",
    }


def _metres(micrometres: float | None) -> float | None:
    return None if micrometres is None else round(micrometres / 1e6, 15)  # and not a digit of rounding more


def collection_of_run(run: str, survey: str | None) -> str | None:
    """Return the archive's collection that an image is in, `None` if its run is not the archive's."""
    release = release_of_run(run)
    if release is None:
        return None
    deep = (survey or "").lower().startswith(_DEEP)
    return f"{archive_collection(release)}_{_DEEP}" if deep else archive_collection(release)


def publisher_did(collection: str | None, obs_id: str | None, detector: int, dataset_id: uuid.UUID) -> str:
    """Return the identifier of an image: the archive's, or of one that is not the archive's that of its dataset."""
    if collection is None or obs_id is None:
        return f"butler://spherex/{dataset_id}"
    return f"{_PUBLISHER}{collection}?{obs_id}/D{detector}"


def utc_days(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return times in MJD, UTC, from nanoseconds since 1970, TAI; NaN where they are not known: 0."""
    days, rest = np.divmod(nanoseconds, _DAY)
    first, second = erfa.taiutc(_EPOCH + days, rest / _DAY)
    return np.where(nanoseconds == 0, np.nan, (first - _MJD) + second)


def footprints(corners: Vectors, detectors: NDArray[np.int64]) -> list[Footprint]:
    """Return where images are, from their regions, shape (n, corners, 3).

    That of a whole detector begins at its first pixel, as the archive's. The pixels of a cutout are not known; its
    region begins anywhere, and its centre and width are those of the circle around it.
    """
    whole = are_full_frames(corners)
    ordered, centers, widths = corners.copy(), *circles(corners)
    widths = np.degrees(2 * widths)
    widths[whole] = FULL_FRAME * _PIXEL / 3600
    ordered[whole, :4] = stored_corners(corners[whole])
    for detector, place in _centres().items():
        some = np.flatnonzero(whole & (detectors == detector))
        if len(some):
            centers[some] = FrameMap(corners[some], None).directions(*np.array(place)[:, np.newaxis])
    pixels = [FULL_FRAME if one else None for one in whole.tolist()]
    (ra, dec), (ras, decs) = _degrees(centers), _degrees(ordered)
    regions = map(_polygon, ras.tolist(), decs.tolist())
    return list(map(Footprint, ra.tolist(), dec.tolist(), widths.tolist(), regions, pixels, pixels))


@cache
def _centres() -> Mapping[int, tuple[float, float]]:
    entries = Config(config_uri("repository/image_centres.yaml")).toDict()
    return TypeAdapter(dict[int, tuple[float, float]]).validate_python(entries)


def _degrees(directions: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _polygon(ras: list[float], decs: list[float]) -> str:
    """Return a region as the archive writes it, with its first corner once more at the end."""
    corners = list(dict.fromkeys(zip(ras, decs, strict=True)))  # a polygon among others with more repeats its last
    return " ".join(["POLYGON ICRS", *(f"{ra!r} {dec!r}" for ra, dec in [*corners, corners[0]])])

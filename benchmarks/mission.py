"""A simulated mission as the archive lists it: image tables with the columns and magnitudes of real ones.

Planning periods of half a week, one processing token for a few of them, three
exposures a large slew and six detectors an exposure; each period scans a great
circle.  Rows are those of the archive's SIA2 answers, as far as ingest reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spherex_butler.testing.observations import Observation
from spherex_butler.testing.pointing import Pointing, _detector_vectors

ARCHIVE = "https://irsa.ipac.caltech.edu/ibe/data/spherex"
DETECTORS = 6
LARGE_SLEWS, SMALL_SLEWS = 590, 3  # 1,770 exposures a period
IMAGES_A_PERIOD = LARGE_SLEWS * SMALL_SLEWS * DETECTORS

_FIRST = date(2025, 4, 28)  # a Monday, ISO week 18
_PERIOD = 3.5  # days
_EXPOSURE = 0.00133230  # days
_COLUMNS = {1: 2, 4: 2, 2: 1, 5: 1, 3: 0, 6: 0}
_HALF = 1020 * np.radians(6.15 / 3600)
_STEP = np.radians(0.1963)


@dataclass(frozen=True, slots=True)
class Period:
    """One planning period and the processing its images are of."""

    name: str
    release: str
    token: str
    begin: float
    """MJD, UTC."""
    number: int


def periods(images: int, tokens: int = 113, total: int = 2_700_000) -> Iterator[Period]:
    """Yield the planning periods that hold so many images, with tokens as dense as in the whole mission."""
    count = -(-images // IMAGES_A_PERIOD)
    share = tokens * IMAGES_A_PERIOD / total  # tokens a period
    for number in range(count):
        monday = _FIRST + timedelta(weeks=number // 2)
        year, week, _ = monday.isocalendar()
        name = f"{year}W{week:02d}_{number % 2 + 1}A"
        index = int(number * share)
        version, release = (20 + index * 6 // 85, "qr2") if index < 85 else (27, "qr3")
        processed = _FIRST + timedelta(days=30 + 7 * index)
        token = f"l2b-v{version}-{processed.year}-{processed.timetuple().tm_yday:03d}"
        begin = _mjd(monday) + _PERIOD * (number % 2)
        yield Period(name, release, token, begin, number)


def _mjd(day: date) -> float:
    return float((day - date(1858, 11, 17)).days)


def table(period: Period) -> pa.Table:
    """Return a period's rows: exposure after exposure, detector after detector."""
    large, small = np.divmod(np.arange(LARGE_SLEWS * SMALL_SLEWS), SMALL_SLEWS)
    obs_ids = [f"{period.name}_{a + 1:04d}_{b + 1}" for a, b in zip(large.tolist(), small.tolist(), strict=True)]
    begins = period.begin + np.linspace(0.001, _PERIOD - 0.01, len(obs_ids))
    polygons = _polygons(period, len(obs_ids))
    detectors = range(1, DETECTORS + 1)
    folder = f"{ARCHIVE}/{period.release}/level2/{period.name}/{period.token}"
    rows = [(obs_id, detector) for obs_id in obs_ids for detector in detectors]
    return pa.table(
        {
            "obs_id": [obs_id for obs_id, _ in rows],
            "access_url": [f"{folder}/{d}/level2_{obs_id}D{d}_spx_{period.token}.fits" for obs_id, d in rows],
            "s_region": polygons,
            "t_min": np.round(np.repeat(begins, DETECTORS), 6),
            "t_max": np.round(np.repeat(begins + _EXPOSURE, DETECTORS), 6),
            "t_exptime": np.full(len(rows), 113.5826),
            "target_name": [f"SPS_{period.number * 1770 + i // DETECTORS}" for i in range(len(rows))],
            "energy_bandpassname": [f"SPHEREx-D{d}" for _, d in rows],
            "obs_collection": [f"spherex_{period.release}"] * len(rows),
            "dataproduct_subtype": ["science"] * len(rows),
        }
    )


def _polygons(period: Period, exposures: int) -> list[str]:
    """Return ``s_region`` of every exposure and detector."""
    start = Pointing.of_observation(Observation.parse(f"{period.name}_0001_1")).matrix
    angles = np.arange(exposures) * _STEP
    corners = np.einsum("ij,ejk,kc->eci", start, _scans(angles), _corner_vectors())
    lon = np.degrees(np.arctan2(corners[..., 1], corners[..., 0])) % 360
    lat = np.degrees(np.arcsin(corners[..., 2]))
    pairs = np.stack([lon, lat], axis=-1).reshape(-1, 4, 2)
    closed = np.concatenate([pairs, pairs[:, :1]], axis=1).reshape(-1, 10)
    return ["POLYGON ICRS " + " ".join(map(repr, row)) for row in closed.tolist()]


def _scans(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations of the focal plane along y."""
    cosine, sine = np.cos(angles), np.sin(angles)
    scans = np.zeros((len(angles), 3, 3))
    scans[:, 0, 0], scans[:, 1, 1], scans[:, 2, 2] = 1, cosine, cosine
    scans[:, 1, 2], scans[:, 2, 1] = sine, -sine
    return scans


def _corner_vectors() -> NDArray[np.float64]:
    """Return the directions of the corners of all detectors in the focal plane, (3, 24)."""
    directions = []
    for detector in range(1, DETECTORS + 1):
        center, axes = _detector_vectors(_COLUMNS[detector])
        axes = axes / np.linalg.norm(axes, axis=0)
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            corner = center + _HALF * (x * axes[:, 0] + y * axes[:, 1])
            directions.append(corner / np.linalg.norm(corner))
    return np.stack(directions, axis=1)

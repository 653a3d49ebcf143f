"""Images that are registered without files: rows of an archive table from simulated frames of full size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from lsst.daf.butler import Butler

from spherex_butler.archive import ingest_archive_table
from spherex_butler.testing.frames import Frame, make_frame

ARCHIVE = "https://irsa.ipac.caltech.edu/ibe/data/spherex"


def register_frames(butler: Butler, *frames: Frame) -> None:
    """Register the images of frames, as the archive's table lists them."""
    report = ingest_archive_table(butler, Table(rows=[archive_row(frame) for frame in frames]))
    assert len(report.ingested) == len(frames), report


def register_tree(butler: Butler, folder: Path, *frames: Frame) -> None:
    """Register the images of frames, whose files are in a copy of the archive's tree; no header is read."""
    table = Table(rows=[archive_row(frame) for frame in frames])
    report = ingest_archive_table(butler, table, access=str(folder))
    assert len(report.ingested) == len(frames), report


def archive_row(frame: Frame) -> dict[str, Any]:
    corners = frame.wcs().all_pix2world([(-0.5, -0.5), (2039.5, -0.5), (2039.5, 2039.5), (-0.5, 2039.5)], 0)
    numbers = [f"{value:.10f}" for corner in (*corners, corners[0]) for value in (corner[0] % 360, corner[1])]
    times = frame.observation.times(frame.detector).cards()
    return {
        "obs_id": str(frame.observation),
        "access_url": f"{ARCHIVE}/{frame.folder}/{frame.file_name}",
        "s_region": "POLYGON ICRS " + " ".join(numbers),
        "t_min": times["MJD-BEG"],
        "t_max": times["MJD-END"],
        "t_exptime": 113.5826,
        "energy_bandpassname": f"SPHEREx-D{frame.detector}",
    }


def sky_of(frame: Frame, x: Any, y: Any) -> SkyCoord:
    """Return where full-frame pixels of a frame are, by its whole header."""
    ra, dec = frame.wcs().all_pix2world(np.ravel(x), np.ravel(y), 0)
    return SkyCoord(ra, dec, unit="deg").reshape(np.shape(x))


__all__ = ("archive_row", "make_frame", "register_frames", "register_tree", "sky_of")

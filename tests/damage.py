"""Repositories with calibrations, and what can go wrong with them that Butler itself would not do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from astropy.nddata import CCDData
from lsst.daf.butler import Butler, DatasetRef, Timespan

from spherex_butler.verify import Kind, RepositoryReport, check_repository

DARK_RUN = "spx/cal-drk-v4-2025-161"
ALWAYS = Timespan(None, None)


def put_dark(butler: Butler, detector: int = 3, run: str = DARK_RUN, value: float = 0.0) -> DatasetRef:
    """Store a dark."""
    butler.collections.register(run)
    dark = CCDData(np.full((4, 4), value, np.float32), unit="electron/s")
    return butler.put(dark, "dark", instrument="SPHEREx", detector=detector, run=run)


def certify(butler: Butler, ref: DatasetRef, timespan: Timespan = ALWAYS, collection: str = "SPHEREx/calib") -> None:
    butler.registry.certify(collection, [ref], timespan)


def certify_others(butler: Butler, detector: int = 3) -> None:
    """Let all detectors but one have a dark."""
    for other in {*range(1, 7)} - {detector}:
        certify(butler, put_dark(butler, other))


def images(butler: Butler, **data_id: object) -> list[DatasetRef]:
    """Return images in order of exposure and detector."""
    with butler.query() as query:
        found = query.datasets("level2", "SPHEREx/defaults").where(instrument="SPHEREx", **data_id)
        return list(found.order_by("exposure", "detector"))


def path_of(butler: Butler, ref: DatasetRef) -> Path:
    return Path(butler.getURI(ref).ospath)


def timespans(butler: Butler) -> list[Timespan]:
    """Return the timespans of the exposures, in order."""
    records = butler.query_dimension_records("exposure", order_by="exposure.timespan.begin")
    return [record.timespan for record in records]


def damage(butler: Butler, *statements: str) -> None:
    """Change the SQLite database of a repository behind Butler's back."""
    with closing(sqlite3.connect(butler._registry._db._engine.url.database)) as database, database:
        for statement in statements:
            database.execute(statement)


def lose_regions(butler: Butler, condition: str = "1") -> None:
    tables = ("exposure_detector_region_skypix_overlap", "exposure_detector_region")
    damage(butler, *(f"DELETE FROM {table} WHERE {condition}" for table in tables))


def hex_of(ref: DatasetRef) -> str:
    """Return an id as SQLite has it."""
    return ref.id.hex


def dimension_records(butler: Butler, element: str) -> list[dict[str, object]]:
    """Return all records of an element, in the order of their data IDs."""
    found = butler.query_dimension_records(element, limit=None, explain=False)
    return [record.toDict() for record in sorted(found, key=lambda record: str(record.dataId))]


def found(report: RepositoryReport, kind: Kind) -> list[str]:
    """Return subject and message of the findings of a kind."""
    return [f"{finding.subject}: {finding.message}" for finding in report.findings if finding.kind is kind]


def problems(butler: Butler) -> list[str]:
    """Return what is wrong: images of the detectors without dark miss theirs, and nothing else."""
    found = check_repository(butler).problems
    assert {finding.kind.name for finding in found} <= {"NO_CALIBRATION"}
    return [str(finding) for finding in found]


def kinds(report: RepositoryReport) -> set[Kind]:
    """Return the kinds of problems."""
    return {finding.kind for finding in report.problems}

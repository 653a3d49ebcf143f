"""Real rows of the archive's tables, and the same rows in other shapes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from astropy.table import Table

from spherex_butler.archive.tables import ArchiveTable, read_archive_table
from spherex_butler.files.failures import FailedFile
from spherex_butler.ingest.plan import PlannedFile

FOLDER = Path(__file__).parent / "data" / "archive_tables"
M31 = FOLDER / "irsa_sia2_spherex_m31_excerpt_6rows.csv"
"""Whose ``cloud_access`` is not quoted at all."""
IRIS = FOLDER / "irsa_sia2_spherex_iris_d2_excerpt_2rows.csv"
"""Whose ``cloud_access`` is quoted in pieces."""

ROOT = "https://irsa.ipac.caltech.edu/ibe/data/spherex/"
BUCKET = "https://nasa-irsa-spherex.s3.us-east-1.amazonaws.com/"
FIRST_NAME = "level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits"
FIRST_KEY = f"qr2/level2/2025W51_1A/l2b-v21-2025-354/3/{FIRST_NAME}"

ADQL = (
    "SELECT a.uri, p.poly, p.time_bounds_lower, p.time_bounds_upper FROM spherex.plane p "
    "JOIN spherex.artifact a ON a.planeid = p.planeid"
)
"""A query for such rows."""

_NUMBERS = ("s_ra", "s_dec", "s_resolution", "em_min", "em_max", "t_exptime", "s_pixel_scale", "t_min", "t_max")
_COUNTS = ("calib_level", "access_estsize", "s_xel1", "s_xel2")


def sia_table(path: Path = M31) -> Table:
    """Return the rows as a service's VOTable has them, with ``cloud_access`` as one text."""
    with path.open() as lines:
        header, *rows = csv.reader(lines)
    cloud = header.index("cloud_access")
    table = Table(rows=[[*row[:cloud], ",".join(row[cloud:]).rstrip("1,")] for row in rows], names=header[: cloud + 1])
    for name in _NUMBERS:
        table[name] = table[name].astype(float)
    for name in _COUNTS:
        table[name] = table[name].astype(int)
    return table


def caom_table(path: Path = M31, poly: Callable[[str], object] = str) -> Table:
    """Return the rows as ``spherex.plane`` and ``spherex.artifact`` have them."""
    sia = sia_table(path)
    return Table(
        {
            "uri": [url.removeprefix("https://irsa.ipac.caltech.edu/") for url in sia["access_url"]],
            "poly": [poly(region) for region in sia["s_region"]],
            "time_bounds_lower": sia["t_min"],
            "time_bounds_upper": sia["t_max"],
            "energy_bandpassname": sia["energy_bandpassname"],
        }
    )


def csv_of(table: Table, path: Path) -> Path:
    """Write a table as a service that quotes rightly would."""
    table.write(path, format="ascii.csv", overwrite=True)
    return path


def write_votable(table: Table, path: Path, serialization: str = "tabledata") -> None:
    """Write a table as a VOTable."""
    table.write(path, format="votable", tabledata_format=serialization)


def changed(**values: object) -> Table:
    """Return one real row with other values."""
    table = sia_table()[:1]
    for name, value in values.items():
        table[name] = [value]
    return table


def read(table: ArchiveTable, **options: object) -> tuple[list[PlannedFile], list[FailedFile]]:
    """Return the images of a table, and the rows that failed."""
    batches = list(read_archive_table(table, **options))
    return [file for batch in batches for file in batch.planned], [file for batch in batches for file in batch.failed]


def planned_of(table: ArchiveTable, **options: object) -> list[PlannedFile]:
    """Return the images of a table in which no row fails."""
    planned, failed = read(table, **options)
    assert not failed
    return planned


def reasons_of(table: ArchiveTable, **options: object) -> list[str]:
    """Return why the rows of a table fail, all of them."""
    planned, failed = read(table, **options)
    assert not planned
    return [file.reason for file in failed]

"""The whole mission in a repository: ingest at scale beside the same work through plain daf_butler calls.

    python benchmarks/scale.py [--images 100000] [--rival-images N] [--files 2000] [--postgres-images 40000]

Simulates the archive's image table (`mission`), ingests it, and measures how
fast that goes from beginning to end, how large the registry and the process
get, and how quick the repository is then.  Each measurement is a process of
its own.  Writes ``scale.json`` and ``scale.md`` to ``--output``; a part of size 0
is left out, and stays in the report as it was.  The defaults take about ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mission
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import new_database, running_postgres

HERE = Path(__file__).parent
MEASURE = HERE / "scale_measurements.py"


def measure(what: str, *arguments: object) -> dict[str, Any]:
    """Run one measurement in a process of its own; return what it found."""
    command = [sys.executable, str(MEASURE), what, *map(str, arguments)]
    print(f"  {what} {' '.join(map(str, arguments[1:]))} …", flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_table(path: Path, images: int) -> int:
    """Write the archive's table of so many images; return how many rows that is."""
    rows, writer = 0, None
    for period in mission.periods(images):
        table = mission.table(period)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        rows += table.num_rows
    if writer is not None:
        writer.close()
    return rows


def databases(folder: Path, server: str | None) -> Iterator[str]:
    """Yield databases: files, or those of a server."""
    number = 0
    while True:
        number += 1
        yield f"sqlite:///{folder}/registry{number}.sqlite3" if server is None else new_database(server)


def archive_ingest(folder: Path, images: int, rival_images: int, server: str | None) -> dict[str, Any]:
    """Ingest a table by our calls and by plain ones, then ask the repository."""
    where = databases(folder, server)
    table = folder / "images.parquet"
    found: dict[str, Any] = {"images": write_table(table, images)}
    database = next(where)
    found["ours"] = measure("ours", table, folder / "ours", database)
    found["queries"] = measure("queries", folder / "ours", database)
    if rival_images:
        short = folder / "rival.parquet"
        found["rival images"] = write_table(short, rival_images)
        found["rival"] = measure("rival", short, folder / "rival", next(where))
    return found


def mean_rate(curve: list[list[float]], images: float) -> float:
    """Return the mean rate over the first images, from when which number was done."""
    seconds, done = next((point for point in curve if point[1] >= images), curve[-1])
    return done / seconds


def rate_at(curve: list[list[float]], images: float, window: float = 60_000) -> float:
    """Return the rate around a number of images."""
    near = [point for point in curve if abs(point[1] - images) <= window]
    return (near[-1][1] - near[0][1]) / (near[-1][0] - near[0][0]) if len(near) > 1 else mean_rate(curve, images)


def summary(name: str, found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return rows of the report: what, ours, rival, what was to be reached."""
    ours, rival = found["ours"], found.get("rival")
    size = found["images"]
    rows = []
    for images in sorted({min(size, found.get("rival images", size)), min(size, 1_000_000), size}):
        comparable = rival is not None and images <= found["rival images"]
        mine = size / ours["seconds"] if images == size else mean_rate(ours["curve"], images)
        other = mean_rate(rival["curve"], images) if rival and comparable else None
        beside = "" if other is None else f"{other:,.0f} images/s ({mine / other:.2f} ×)"
        rows.append((f"{name}: mean over the first {images:,}", f"{mine:,.0f} images/s", beside, _reach(name, images)))
    for part in (0.02, 0.25, 0.5, 0.75, 1.0):
        images = part * size
        other_rate = rate_at(rival["curve"], images) if rival and images <= found["rival images"] else None
        beside = "" if other_rate is None else f"{other_rate:,.0f} images/s"
        rows.append((f"{name}: rate at {images:,.0f}", f"{rate_at(ours['curve'], images):,.0f} images/s", beside, ""))
    memory = "" if rival is None else f"{rival['memory'] / 1e6:,.0f} MB (its batches are as large)"
    rows += [
        (f"{name}: registry an image", f"{ours['registry'] / size:,.0f} B", "", "≤ 4,000 B"),
        (
            f"{name}: memory of all processes, shared pages in each",
            f"{ours['memory'] / 1e6:,.0f} MB",
            memory,
            "≤ 1,000 MB",
        ),
        (f"{name}: 10,000 of the rows again", f"{10_000 / ours['again']:,.0f} images/s", "", ""),
    ]
    for key, reach in _QUERIES.items():
        if key in found["queries"]:
            rows.append((f"{name}: {key}", f"{1e3 * found['queries'][key]:,.0f} ms", "", reach))
    return rows


_QUERIES = {
    "open the repository": "≤ 500 ms",
    "find-first look-up": "≤ 20 ms",
    "images at a position": "",
    "statistics of the database": "",
}


def _reach(name: str, images: int) -> str:
    if name != "SQLite":
        return ""
    if images > 2_000_000:
        return "≥ 1,300 images/s"
    return "≥ 2,000 images/s, ≥ 1.5 × plain"


def files_summary(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return rows of the report on local files."""
    ours, rival = found["files"] / found["ours"], found["files"] / found["rival"]
    row = (
        "Local files, transfer direct, two processes",
        f"{ours:,.0f} images/s",
        f"{rival:,.0f} files/s, headers only ({ours / rival:.2f} ×)",
        "≥ 400 images/s",
    )
    return [row]


def markdown(rows: list[tuple[str, str, str, str]], about: dict[str, Any]) -> str:
    """Return the report as text."""
    head = [
        "# The whole mission in a repository",
        "",
        ", ".join(f"{key} {value}" for key, value in about.items()) + ".",
        "",
        "The rival of table ingest is plain daf_butler: `insertDimensionData` in bulk and `Butler.ingest` with its",
        "default settings, one planning period a batch, given for nothing that every URL exists.  That of file ingest",
        "is astropy reading the two headers of each file, with as many processes.",
        "",
        "| What | Ours | Rival | To be reached |",
        "|---|---|---|---|",
    ]
    return "\n".join(head + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000, help="rows of the table, SQLite")
    parser.add_argument("--rival-images", type=int, help="rows of the rival's table; default as many")
    parser.add_argument("--files", type=int, default=2000, help="local files")
    parser.add_argument("--postgres-images", type=int, default=40_000, help="rows of the table, PostgreSQL")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--folder", type=Path, help="where to work; default a temporary folder")
    options = parser.parse_args()
    earlier = options.output / "scale.json"
    found: dict[str, Any] = json.loads(earlier.read_text())["found"] if earlier.exists() else {}
    for name, images in (("SQLite", options.images), ("PostgreSQL", options.postgres_images)):
        if images:
            rival = images if options.rival_images is None else min(images, options.rival_images)
            print(f"{name}, {images:,} images")
            server = running_postgres() if name == "PostgreSQL" else nullcontext()
            with TemporaryDirectory(dir=options.folder) as folder, server as url:
                found[name] = archive_ingest(Path(folder), images, rival, url)
            write(options.output, found)
    if options.files:
        print(f"{options.files:,} files")
        with TemporaryDirectory(dir=options.folder) as folder:
            found["files"] = measure("files", folder, options.files)
    print(write(options.output, found))


def write(folder: Path, found: dict[str, Any]) -> str:
    """Write what was found so far; return the report."""
    about = {package: version(package) for package in ("spherex-butler", "lsst-daf-butler", "sqlalchemy", "astropy")}
    about |= {"Python": platform.python_version(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    rows = [row for name in ("SQLite", "PostgreSQL") if name in found for row in summary(name, found[name])]
    rows += files_summary(found["files"]) if "files" in found else []
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scale.json").write_text(json.dumps({"about": about, "found": found}, indent=1) + "\n")
    text = markdown(rows, about) + "".join(f"\n{remark}\n" for remark in found.get("remarks", []))
    (folder / "scale.md").write_text(text)
    return text


if __name__ == "__main__":
    main()

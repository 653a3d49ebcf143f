"""Which images saw a position: the search beside Butler's own query and the reading of headers.

    python benchmarks/search.py [--images 240000] [--postgres-images 0] [--folder DIR] [--output DIR]

Simulates the archive's image table (`mission`), ingests it, and asks for positions.  A repository of the size in
``--folder`` is found again there, as ``sqlite-240000``.  Writes ``search.json`` and ``search.md``; sizes that are not
measured in this run stay in the report as they were, so that runs of several sizes give a curve.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import astropy.units as u
import hpgeom
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from lsst.daf.butler import Butler
from scale import write_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import new_database, running_postgres

from spherex_butler import make_repo, open_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.search import coverage, find_images
from spherex_butler.testing import write_level2

HERE = Path(__file__).parent
POSITIONS = 40
WAVELENGTHS = (2.0, 2.2) * u.um


def made(folder: Path, name: str, images: int, server: str | None) -> Path:
    """Return the folder of a repository with so many images."""
    root = folder / f"{name}-{images}"
    if not root.exists():
        print(f"  making {root.name} …", flush=True)
        write_table(folder / "images.parquet", images)
        database = None if server is None else new_database(server)
        with closing(make_repo(root, database=database)) as butler:
            ingest_archive_table(butler, folder / "images.parquet", processes=2)
    return root


def milliseconds(function: Callable[[], Any], repeats: int = 1) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def seen_positions(butler: Butler, number: int) -> tuple[SkyCoord, SkyCoord]:
    """Return positions that were seen, at random over the sky, and the one that was seen most often."""
    depth = coverage(butler, order=6).depth
    rng = np.random.default_rng(20251110)
    pixels = [*rng.choice(np.flatnonzero(depth), number, replace=False), depth.argmax()]
    lon, lat = hpgeom.pixel_to_angle(64, np.array(pixels), nest=True)
    positions = SkyCoord(lon, lat, unit="deg")
    return positions[:-1], positions[-1]


def plain(butler: Butler, position: SkyCoord) -> int:
    where = f"exposure_detector_region.region OVERLAPS POINT({position.ra.deg}, {position.dec.deg})"
    return len(butler.query_datasets("level2", where=where, limit=None, explain=False))


def each(positions: SkyCoord, function: Callable[[SkyCoord], Any]) -> tuple[float, float]:
    """Return the median time of one position, in ms, and the median of the numbers of images."""
    times, numbers = [], []
    for position in positions:
        begin = time.perf_counter()
        found = function(position)
        times.append(1e3 * (time.perf_counter() - begin))
        numbers.append(found if isinstance(found, int) else len(found))
    return statistics.median(times), statistics.median(numbers)


def measured(root: str) -> dict[str, Any]:
    """Ask one repository everything."""
    with closing(open_repo(root)) as butler:
        positions, densest = seen_positions(butler, 1000)
        some = positions[:POSITIONS]
        each(some[:5], lambda position: find_images(butler, position))  # until everything is loaded
        found: dict[str, Any] = {}
        with peak_memory(found, "memory of a position [MB]"):
            found["a position [ms]"], found["its images"] = each(some, lambda one: find_images(butler, one))
        found["the same again [ms]"], _ = each(some, lambda one: find_images(butler, one))
        found["the same by query_datasets [ms]"], number = each(some[:10], lambda one: plain(butler, one))
        found["the same at 2.0-2.2 um [ms]"], found["its images at 2.0-2.2 um"] = each(
            some, lambda one: find_images(butler, one, wavelength=WAVELENGTHS)
        )
        found["images by query_datasets"] = number
        found["the densest position [ms]"] = milliseconds(lambda: find_images(butler, densest), 3)
        found["its images there"] = len(find_images(butler, densest))
        found["the densest at 2.0-2.2 um [ms]"] = milliseconds(
            lambda: find_images(butler, densest, wavelength=WAVELENGTHS), 3
        )
        with peak_memory(found, "memory of 1,000 positions [MB]"):
            begin = time.perf_counter()
            found["images of 1,000 positions"] = len(find_images(butler, positions))
            found["1,000 positions [ms]"] = 1e3 * (time.perf_counter() - begin)
        with peak_memory(found, "memory of the coverage [MB]"):
            found["coverage of all channels [ms]"] = milliseconds(lambda: coverage(butler, channels=True))
    return found


@contextmanager
def peak_memory(found: dict[str, Any], name: str) -> Iterator[None]:
    """Note the largest memory of this process in the block; before Linux 4.0 and elsewhere, since it began."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the largest until now
    yield
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        found[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    else:
        found[name] = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1e3


def header_time() -> float:
    """Return what astropy takes to find the wavelength at a position in a local file of full size, in ms."""
    with TemporaryDirectory() as folder:
        path = write_level2(folder, detector=3)
        position = SkyCoord(10.05, 40.88, unit="deg")

        def wavelength() -> float:
            with fits.open(path) as hdus:
                header = hdus["IMAGE"].header
                x, y = WCS(header).world_to_pixel(position)
                with warnings.catch_warnings(action="ignore"):  # of SIP, which it carries over and has to lose
                    spectral = WCS(header, fobj=hdus, key="W")
                spectral.sip = None
                return float(spectral.pixel_to_world_values(x, y)[0])

        wavelength()
        return milliseconds(wavelength, 5)


def report(found: dict[str, Any]) -> str:
    """Return the report as text."""
    about = {package: version(package) for package in ("spherex-butler", "lsst-daf-butler", "astropy", "numpy")}
    about |= {"Python": platform.python_version(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    columns = sorted(found["repositories"], key=lambda name: (name.split("-")[0] != "sqlite", int(name.split("-")[1])))
    rows = list(dict.fromkeys(row for name in columns for row in found["repositories"][name]))
    lines = [
        "# Which images saw a position",
        "",
        ", ".join(f"{key} {value}" for key, value in about.items()) + ".",
        "",
        "Medians of some positions of the simulated mission, each asked for the first time in a process that has",
        "asked for others. Columns are repositories, by database and number of images. `query_datasets` gives",
        "datasets alone, without pixels and wavelengths.",
        "",
        "| What | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for row in rows:
        values = [found["repositories"][name].get(row) for name in columns]
        lines.append(f"| {row} | " + " | ".join("" if value is None else f"{value:,.0f}" for value in values) + " |")
    lines += [
        "",
        f"To find the wavelength in one local file of full size by astropy takes {found['header [ms]']:.0f} ms.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=240_000, help="rows of the table, SQLite")
    parser.add_argument("--postgres-images", type=int, default=0, help="rows of the table, PostgreSQL")
    parser.add_argument("--folder", type=Path, help="where repositories are; default a temporary folder")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(options.measure)))
        return
    earlier = options.output / "search.json"
    found: dict[str, Any] = json.loads(earlier.read_text()) if earlier.exists() else {"repositories": {}}
    found["header [ms]"] = header_time()
    for name, images in (("sqlite", options.images), ("postgresql", options.postgres_images)):
        if images:
            server = running_postgres() if name == "postgresql" else nullcontext()
            own = (
                TemporaryDirectory() if options.folder is None or name == "postgresql" else nullcontext(options.folder)
            )
            with own as folder, server as url:
                root = made(Path(folder), name, images, url)
                command = [sys.executable, __file__, "--measure", str(root)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found["repositories"][root.name] = json.loads(done.stdout.splitlines()[-1])
    options.output.mkdir(parents=True, exist_ok=True)
    earlier.write_text(json.dumps(found, indent=1) + "\n")
    (options.output / "search.md").write_text(report(found))
    print(report(found))


if __name__ == "__main__":
    main()

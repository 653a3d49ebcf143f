"""The measurements of `scale`, each a process of its own that prints what it found as JSON."""

from __future__ import annotations

import json
import logging
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, FileDataset, Timespan
from lsst.daf.butler.progress import Progress, ProgressHandler
from lsst.resources.http import HttpResourcePath
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from spherex_butler import make_repo, open_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.ingest import ingest_files
from spherex_butler.names import parse_product_name
from spherex_butler.repository.butler_internals import update_statistics
from spherex_butler.repository.runs import ensure_run
from spherex_butler.testing import write_level2

INSTRUMENT = "SPHEREx"
AGAIN = 10_000


class Curve(ProgressHandler):
    """Notes when how many images were registered."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.points: list[list[float]] = []
        self.done = 0

    @contextmanager
    def get_progress_bar(self, *_: object, **__: object) -> Iterator[Self]:
        """Return itself for a bar."""
        yield self

    def update(self, n: int = 1) -> None:
        """Note that more are done."""
        self.done += n
        self.points.append([round(time.perf_counter() - self.begin, 3), self.done])


class Memory:
    """The largest memory of this process and its children together, looked at ten times a second."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, sum(map(_own_memory, [this, *this.children(recursive=True)])))


def _own_memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def registry_size(butler: Butler) -> int:
    """Return the bytes of the database."""
    engine = butler._registry._db._engine  # noqa: SLF001
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database)
        return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar())


def ours(table: str, root: str, database: str) -> dict[str, Any]:
    with closing(make_repo(root, database=database)) as butler, Memory() as memory:
        curve = Curve()
        logging.getLogger("spherex_butler").setLevel(logging.INFO)
        Progress.set_handler(curve)
        report = ingest_archive_table(butler, table, processes=2)
        Progress.set_handler(None)
        if report.failed or len(report.ingested) != curve.done:
            raise RuntimeError(report.summary)
        seconds = time.perf_counter() - curve.begin
        size = registry_size(butler)
        repeated = timed(lambda: ingest_archive_table(butler, first_rows(table), processes=1))
    return {"curve": curve.points, "seconds": seconds, "memory": memory.peak, "registry": size, "again": repeated}


def first_rows(table: str) -> Table:
    """Return as many rows as are ingested again, to see how fast what is there is passed over."""
    return Table(next(pq.ParquetFile(table).iter_batches(AGAIN)).to_pydict())


def rival(table: str, root: str, database: str) -> dict[str, Any]:
    """Do the same by what a user of daf_butler writes, one planning period a batch."""
    HttpResourcePath.exists = lambda _: True  # or it would ask the archive
    with closing(make_repo(root, database=database)) as butler, Memory() as memory:
        curve = Curve()
        for batch in pq.ParquetFile(table).iter_batches(10_620):
            plain_ingest(butler, batch.to_pylist())
            curve.update(batch.num_rows)
        seconds = time.perf_counter() - curve.begin
    return {"curve": curve.points, "seconds": seconds, "memory": memory.peak}


def plain_ingest(butler: Butler, rows: list[dict[str, Any]]) -> None:
    dataset_type = butler.get_dataset_type("level2")
    names = [parse_product_name(row["access_url"]) for row in rows]
    ensure_run(butler, names[0], "qr2")
    periods, groups, exposures, regions, datasets = {}, {}, {}, [], []
    for name, row in zip(names, rows, strict=True):
        observation = name.observation
        periods[observation.planning_period] = {"instrument": INSTRUMENT, "name": observation.planning_period}
        groups[observation.group] = {**periods[observation.planning_period], "name": observation.group}
        groups[observation.group]["planning_period"] = observation.planning_period
        if observation.exposure_id not in exposures:
            exposures[observation.exposure_id] = exposure_record(observation, row)
        identity = {"instrument": INSTRUMENT, "exposure": observation.exposure_id, "detector": name.detector}
        regions.append({**identity, "region": polygon(row["s_region"])})
        ref = DatasetRef(dataset_type, DataCoordinate.standardize(identity, universe=butler.dimensions), name.run)
        datasets.append(FileDataset(row["access_url"], [ref]))
    with butler.transaction():
        for element, records in (("planning_period", periods), ("group", groups), ("exposure", exposures)):
            butler.registry.insertDimensionData(element, *records.values(), skip_existing=True)
        butler.registry.insertDimensionData("exposure_detector_region", *regions)
        butler.ingest(*datasets, transfer="direct", record_validation_info=False)


def exposure_record(observation: Any, row: dict[str, Any]) -> dict[str, Any]:
    times = Time([row["t_min"], row["t_max"]], format="mjd", scale="utc").tai
    return {
        "instrument": INSTRUMENT,
        "id": observation.exposure_id,
        "obs_id": str(observation),
        "group": observation.group,
        "planning_period": observation.planning_period,
        "large_slew": observation.large_slew,
        "small_slew": observation.small_slew,
        "observation_type": "science",
        "has_simulated": False,
        "exposure_time": row["t_exptime"],
        "target_name": row["target_name"],
        "timespan": Timespan(*times),
    }


def polygon(text: str) -> ConvexPolygon:
    values = list(map(float, text.split()[2:10]))
    pairs = zip(values[::2], values[1::2], strict=True)
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*pair)) for pair in pairs])


def queries(root: str, _database: str) -> dict[str, Any]:
    begin = time.perf_counter()
    butler = open_repo(root, writeable=True)
    found: dict[str, Any] = {"open the repository": time.perf_counter() - begin}
    with closing(butler):
        found["runs in the longest chain"] = max(
            len(info.children) for info in butler.collections.query_info("SPHEREx/qr*")
        )
        refs = butler.query_datasets("level2", limit=2000, find_first=False, collections="spx/*")[::100]
        ids = [ref.dataId.required for ref in refs]
        found["find-first look-up"] = statistics.median(
            timed(lambda data_id=data_id: butler.find_dataset("level2", data_id)) for data_id in ids
        )
        where = "exposure_detector_region.region OVERLAPS POINT(40.0, -30.0)"
        found["images at a position"] = statistics.median(
            timed(lambda: butler.query_datasets("level2", where=where, limit=None, explain=False)) for _ in range(5)
        )
        found["statistics of the database"] = timed(lambda: update_statistics(butler))
    return found


def timed(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def files(folder: str, count: str) -> dict[str, Any]:
    """Ingest local files of full size, and read their headers with astropy."""
    paths = write_files(Path(folder, "files"), int(count))
    by_astropy = timed(lambda: read_headers(paths))
    with closing(make_repo(Path(folder, "repository"))) as butler:
        begin = time.perf_counter()
        report = ingest_files(butler, paths, transfer="direct", processes=2)
        mine = time.perf_counter() - begin
    if len(report.ingested) != len(paths):
        raise RuntimeError(str(report))
    return {"files": len(paths), "ours": mine, "rival": by_astropy}


def write_files(folder: Path, count: int) -> list[Path]:
    """Write small images, whose headers are those of full-size ones: 1,200 a planning period."""
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(write_file, [folder] * count, range(count), chunksize=16))


def write_file(folder: Path, number: int) -> Path:
    period, rest = divmod(number, 1200)
    obs_id = f"2025W{20 + period:02d}_1A_{1 + rest // 18:04d}_{1 + rest // 6 % 3}"
    return write_level2(folder, obs_id=obs_id, detector=1 + number % 6, size=32)


def read_headers(paths: list[Path]) -> None:
    with ProcessPoolExecutor(2) as pool:
        for _ in pool.map(two_headers, paths, chunksize=16):
            pass


def two_headers(path: Path) -> int:
    with fits.open(path) as hdus:
        return len(hdus[0].header) + len(hdus["IMAGE"].header)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))

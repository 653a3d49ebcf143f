"""What a pipeline costs: graphs and quanta, beside the same task on a Butler without this package.

    python benchmarks/pipeline.py [--graphs 1000 10000] [--quanta 10 40] [--images 12] [--output DIR]

The task that does nothing (`pipeline_tasks`) shows what is spent around the work: on a repository of ours, with images
of the simulated archive's table (`mission`), and on one of Butler's own universe with as many datasets.
Forced photometry of a hundred sources on images of full size is the task that works; its rival is a loop that calls the
task's ``run`` between `Butler.get` and `Butler.put`.  Writes ``pipeline.json`` and ``pipeline.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import astropy.units as u
import mission
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import SkyCoord
from astropy.time import Time
from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset, Timespan

from spherex_butler import make_repo, open_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.ingest import ingest_files
from spherex_butler.spectra import put_catalog
from spherex_butler.tasks import ForcedPhotometryTask
from spherex_butler.testing import plan_exposures, source_catalog, write_level2
from spherex_butler.testing.pointing import Pointing

HERE = Path(__file__).parent
FIELD = SkyCoord(10.0, 41.0, unit="deg")
CATALOG = "u/me/catalog"
SOURCES = 100
NOTHING = "pipeline_tasks.NothingTask"
FORCED = "spherex_butler.tasks.ForcedPhotometryTask"
DETECTORS = 6
OUTPUTS = (f"u/me/{number}" for number in count())
PLAIN_BATCH = """\
wmsServiceClass: lsst.ctrl.bps.parsl.ParslService
computeSite: local
site: {local: {class: lsst.ctrl.bps.parsl.sites.Local, cores: 2}}
finalJob: {requestCpus: 1}"""
"""What our configuration says, but for `spherex-butler exec`."""


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, the rival in the same run, and what was to be reached."""

    what: str
    value: float
    rival: float | None
    ratio: float | None
    reach: str


@dataclass
class Report:
    """The rows so far, in seconds."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, what: str, value: float, *, rival: float | None = None, reach: str = "") -> None:
        """Add a row, and print it."""
        ratio = None if rival is None else value / rival
        self.figures.append(Figure(what, value, rival, ratio, reach))
        beside = "" if rival is None else f"rival {rival:7.3g} s, {ratio:.2f} ×"
        print(f"{what:70}{value:8.3g} s  {beside:26}{reach}", flush=True)

    def write(self, folder: Path) -> None:
        """Write the rows as JSON and Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {
            "python": platform.python_version(),
            "cores": len(os.sched_getaffinity(0)),
            "lsst-pipe-base": version("lsst-pipe-base"),
        }
        content = {"machine": about, "seconds": [asdict(one) for one in self.figures]}
        (folder / "pipeline.json").write_text(f"{json.dumps(content, indent=1, ensure_ascii=False)}\n")
        machine = f"Python {about['python']}, {about['cores']} cores, lsst-pipe-base {about['lsst-pipe-base']}"
        lines = ["# Pipelines", "", f"`make bench-pipeline`; {machine}.", ""]
        lines += ["| What | Measured | Rival | Ratio | To reach |", "|---|---|---|---|---|"]
        for one in self.figures:
            rival, ratio = ("", "") if one.rival is None else (f"{one.rival:.3g} s", f"{one.ratio:.2f}")
            lines.append(f"| {one.what} | {one.value:.3g} s | {rival} | {ratio} | {one.reach} |")
        (folder / "pipeline.md").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Repository:
    """A repository with images, and what pipetask is told of it."""

    root: Path
    inputs: str
    options: tuple[str, ...]
    batch: str = "includeConfigs: resource://spherex_butler/configs/bps/parsl.yaml"
    config: str = "{}"

    def seconds(self, verb: str, task: str, *options: str) -> float:
        """Return how long a command of pipetask takes, with all images."""
        words = [verb, "-b", str(self.root), "-t", task, "-i", self.inputs, "-o", next(OUTPUTS), *self.options]
        return _seconds(self.root, "pipetask", "--log-level", "ERROR", *words, *options)

    def submitted(self) -> float:
        """Return how long Parsl takes for the task that does nothing."""
        pipeline = f"{{description: Nothing., tasks: {{nothing: {{class: {NOTHING}, config: {self.config}}}}}}}\n"
        (self.root / "pipeline.yaml").write_text(pipeline)
        payload = f"{{payloadName: '{next(OUTPUTS)}', butlerConfig: {self.root}, inCollection: {self.inputs}}}"
        words = [self.batch, f"pipelineYaml: {self.root}/pipeline.yaml", "operator: me", f"payload: {payload}"]
        (self.root / "submission.yaml").write_text("\n".join(words) + "\n")
        return _seconds(self.root, "bps", "--log-level", "ERROR", "submit", "submission.yaml")


def _seconds(folder: Path, program: str, *words: str) -> float:
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    programs = Path(sys.executable).parent
    command = [str(programs / program), *words]
    changed = {"PYTHONPATH": path, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PWD": str(folder)}
    begun = time.perf_counter()
    with (folder / "log").open("w") as log:
        subprocess.run(command, check=True, cwd=folder, env=os.environ | changed, stdout=log, stderr=subprocess.STDOUT)
    return time.perf_counter() - begun


def ours(root: Path, images: int) -> Repository:
    """Make a repository of ours with images, of which pipetask sees only that their files are there."""
    table = pa.concat_tables(map(mission.table, mission.periods(images))).slice(0, images)
    pq.write_table(table, root.with_suffix(".parquet"))
    archive = root.with_suffix(".archive")
    for address in table["access_url"].to_pylist():
        path = archive / address.removeprefix(f"{mission.ARCHIVE}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with closing(make_repo(root)) as butler:
        done = ingest_archive_table(butler, root.with_suffix(".parquet"), access=str(archive))
        assert not done.failed, done.failed[0]
    return Repository(root, "SPHEREx/defaults", ("-d", "instrument = 'SPHEREx'"))


def plain(root: Path, images: int) -> Repository:
    """Make a repository of Butler's own universe with as many datasets, in small files."""
    Butler.makeRepo(str(root))
    with closing(Butler.from_config(root, writeable=True, run="images")) as butler:
        insert = butler.registry.insertDimensionData
        insert("instrument", {"name": "Plain", "detector_max": DETECTORS, "exposure_max": 10**9, "visit_max": 10**9})
        insert("detector", *({"instrument": "Plain", "id": n, "full_name": f"D{n}"} for n in range(1, DETECTORS + 1)))
        insert("physical_filter", {"instrument": "Plain", "name": "clear", "band": "clear"})
        insert("day_obs", {"instrument": "Plain", "id": 20260101})
        exposures = range(1, -(-images // DETECTORS) + 1)
        insert("group", *({"instrument": "Plain", "name": str(number)} for number in exposures))
        insert("exposure", *map(_exposure, exposures))
        image = DatasetType("level2", ["exposure", "detector"], "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(image)
        path = root / "image.yaml"
        path.write_text("{}\n")
        butler.ingest(*(_dataset(butler, image, path, number) for number in range(images)), transfer="direct")
    options = ("-d", "instrument = 'Plain'", "-c", "nothing:storageClass=StructuredDataDict")
    return Repository(root, "images", options, PLAIN_BATCH, "{storageClass: StructuredDataDict}")


def _exposure(number: int) -> dict[str, Any]:
    begin = Time("2026-01-01T00:00:00", scale="tai") + 2 * number * u.min
    return {
        "instrument": "Plain",
        "id": number,
        "obs_id": str(number),
        "group": str(number),
        "physical_filter": "clear",
        "day_obs": 20260101,
        "timespan": Timespan(begin, begin + 1 * u.min),
    }


def _dataset(butler: Butler, image: DatasetType, path: Path, number: int) -> FileDataset:
    exposure, detector = divmod(number, DETECTORS)
    data_id = butler.registry.expandDataId(instrument="Plain", exposure=exposure + 1, detector=detector + 1)
    own = path.with_name(f"image{number}.yaml")
    own.hardlink_to(path)
    return FileDataset(own, [DatasetRef(image, data_id, run="images")])


def fastest(*functions: Callable[[], float], times: int) -> list[float]:
    """Return the shortest of the times that each function takes, called in turn."""
    rounds = [[function() for function in functions] for _ in range(times)]
    return [min(column) for column in zip(*rounds, strict=True)]


def graphs(report: Report, folder: Path, images: int) -> None:
    """Measure how long a graph takes to build, with and without the exposures before."""
    one, other = ours(folder / f"ours{images}", images), plain(folder / f"plain{images}", images)
    made = ("qgraph", NOTHING)
    without, previous, beside = fastest(
        partial(one.seconds, *made),
        partial(one.seconds, *made, "-c", "nothing:previous=True"),
        partial(other.seconds, *made),
        times=3,
    )
    report.add(f"graph of {images:,} quanta, beside a plain Butler's", without, rival=beside, reach="≤ 1.1 ×")
    report.add(f"graph of {images:,} quanta with previous_exposure", previous, rival=without, reach="≤ 1.2 ×")


def nothing(report: Report, folder: Path, sizes: tuple[int, int]) -> None:
    """Measure what a quantum costs that does nothing."""
    ours_by_size = [ours(folder / f"few-ours{size}", size) for size in sizes]
    plain_by_size = [plain(folder / f"few-plain{size}", size) for size in sizes]
    for processes in (1, 2):
        made = ("run", NOTHING, "--register-dataset-types", "-j", str(processes))
        calls = [partial(one.seconds, *made) for one in (*ours_by_size, *plain_by_size)]
        few, many, plain_few, plain_many = fastest(*calls, times=3)
        quantum, beside = ((b - a) / (sizes[1] - sizes[0]) for a, b in ((few, many), (plain_few, plain_many)))
        what = f"-j{processes}, the task that does nothing"
        report.add(f"{what}: a quantum more", quantum, rival=beside, reach="≤ 1.1 ×")
        report.add(f"{what}: {sizes[0]} quanta", few, rival=plain_few, reach="≤ 1.1 ×")
    # bps looks for programs where EUPS would have them, in its releases for Python 3.11.
    rivals = [] if sys.version_info < (3, 12) else [plain_by_size[0].submitted]
    quantum, *beside = (seconds / sizes[0] for seconds in fastest(ours_by_size[0].submitted, *rivals, times=2))
    what = f"bps and Parsl on two cores, the task that does nothing: a quantum of {sizes[0]}"
    report.add(what, quantum, rival=beside[0] if beside else None, reach="≤ 1.1 ×")


def photometry(report: Report, folder: Path, images: int) -> None:
    """Measure what a quantum costs that works, beside a loop without a pipeline."""
    start = Pointing.of_boresight(FIELD).scanned(-(images // 2))  # so that every image has the field
    attitude = {"center": start.boresight, "position_angle": start.position_angle}
    for one in plan_exposures(folder / "files", exposures=images, detectors=[2], **attitude):
        write_level2(one.path, **one.options)
    root = folder / "works"
    with closing(make_repo(root)) as butler:
        ingest_files(butler, folder / "files", transfer="direct")
        catalog = source_catalog(FIELD, 0.3 * u.deg)[:SOURCES]
        put_catalog(butler, catalog, run=CATALOG)
    works = Repository(root, f"SPHEREx/defaults,{CATALOG}", ("-d", "instrument = 'SPHEREx'"))
    for processes in (1, 2):
        made = ("run", FORCED, "--register-dataset-types", "-j", str(processes))
        quantum, beside = (
            seconds / images for seconds in fastest(partial(works.seconds, *made), partial(loop, root), times=2)
        )
        what = f"-j{processes}, {SOURCES} sources on an image of full size: a quantum of {images}"
        report.add(what, quantum, rival=beside)


def loop(root: Path) -> float:
    """Return how long the same takes in one process without a pipeline."""
    task = ForcedPhotometryTask()
    begun = time.perf_counter()
    with closing(open_repo(root, writeable=True, run=next(OUTPUTS))) as butler:
        kind = DatasetType("looped", ["exposure", "detector"], "VOTable", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        tiles = butler.query_datasets("source_catalog", CATALOG)
        for ref in butler.query_datasets("level2", limit=None):
            image = butler.get(ref)
            found = task.run(image=image, catalogs=[butler.get(tile) for tile in tiles])
            butler.put(found.fluxes, kind, ref.dataId)
    return time.perf_counter() - begun


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, nargs="*", default=[1_000, 10_000], help="sizes of graphs")
    parser.add_argument("--quanta", type=int, nargs=2, default=[10, 40], help="few quanta that do nothing, and many")
    parser.add_argument("--images", type=int, default=12, help="of full size, 72 MB each; 0 leaves this out")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args()
    report = Report()
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        nothing(report, Path(name), tuple(options.quanta))
        for images in options.graphs:
            graphs(report, Path(name), images)
        if options.images:
            photometry(report, Path(name), options.images)
    report.write(options.output)


if __name__ == "__main__":
    main()

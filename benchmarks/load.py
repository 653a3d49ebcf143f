"""Many processes on one PostgreSQL registry, while its server is restarted and one of them is killed.

    python benchmarks/load.py [--minutes 10] [--ingesting 8] [--searching 4] [--exporting 2] [--exposures 1000]
                              [--rows 120000] [--output DIR]

Half of the ingesting processes ingest the same small files in orders and transfer modes of their own, the others the
same archive table, piece by piece; all begin again when they are done.  Others search for positions and export to
repositories of their own.  After two fifths of the time the server is restarted as after a crash; after three fifths
one ingesting process is killed.  At the end each ingest is called once more, and `verify` has to find all images.
Writes ``load.json`` and ``load.md``; the exit status is 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, TextIO

import mission
import pyarrow.parquet as pq
from astropy.coordinates import SkyCoord
from lsst.daf.butler import Butler

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import restart_server, running_postgres

from spherex_butler import make_repo, open_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.errors import SpherexButlerError
from spherex_butler.export import copy_repository
from spherex_butler.ingest import ingest_files
from spherex_butler.search import find_images
from spherex_butler.testing import write_exposures
from spherex_butler.verify import check_repository

HERE = Path(__file__).parent
MODES = ("copy", "hardlink", "symlink", "relsymlink")
BATCH = 120
PIECE = 6000
UNREADABLE = "not one of this package's errors"


@dataclass(frozen=True)
class Work:
    """What a process does until the end: the same again and again, opening the repository anew after an error."""

    kind: str
    number: int
    repo: Path
    folder: Path
    end: float

    def run(self) -> None:
        """Work, and write what became of each step, a line of JSON.

        Each process has a file of its own: a queue may stay locked for all others by one that is killed.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Path(self.folder, f"said-{self.number}-{os.getpid()}.jsonl").open("w", buffering=1) as said:
            while time.time() < self.end:
                try:
                    self._steps(said)
                except Exception as error:  # noqa: BLE001  (each is reported)
                    ours = isinstance(error, SpherexButlerError)
                    text = str(error) if ours else f"{UNREADABLE}: {type(error).__name__}: {error}"
                    self._say(said, error=plain(text))
                    time.sleep(1)

    def _steps(self, said: TextIO) -> None:
        with closing(open_repo(self.repo, writeable=self.kind in {"files", "table"})) as butler:
            for step in STEPS[self.kind](self, butler):
                begin = time.time()
                number = step()
                self._say(said, images=number, seconds=time.time() - begin)
                if time.time() >= self.end:
                    return

    def _say(self, said: TextIO, **what: object) -> None:
        said.write(json.dumps({"kind": self.kind, **what}) + "\n")


def plain(text: str) -> str:
    """Return a message as a line, without names of temporary folders."""
    line = " ".join(text.split())
    return re.sub(re.escape(gettempdir()) + r"/[\w-]+", "…", line)[:600]


def files_of(folder: Path) -> list[Path]:
    return sorted((folder / "files").glob("*.fits"))


def pieces_of(folder: Path) -> list[Path]:
    return sorted((folder / "pieces").glob("*.parquet"))


def ingest_steps(work: Work, butler: Butler) -> Iterator[Callable[[], int]]:
    """Yield ingests of some of the files, in an order of this process's own."""
    order = random.Random(work.number)
    files = files_of(work.folder)
    mode = MODES[work.number % len(MODES)]
    while True:
        some = order.sample(files, BATCH)
        yield partial(_ingested, partial(ingest_files, butler, some, transfer=mode))


def table_steps(work: Work, butler: Butler) -> Iterator[Callable[[], int]]:
    pieces = pieces_of(work.folder)
    random.Random(work.number).shuffle(pieces)
    for piece in cycle(pieces):
        yield partial(_ingested, partial(ingest_archive_table, butler, piece, processes=1))


def search_steps(work: Work, butler: Butler) -> Iterator[Callable[[], int]]:
    order = random.Random(work.number)
    table = pq.read_table(pieces_of(work.folder)[0])
    corners = [list(map(float, region.split()[-8:])) for region in table["s_region"].to_pylist()]
    while True:
        ra, dec, _, _, opposite_ra, opposite_dec, *_ = order.choice(corners)
        position = SkyCoord([ra, opposite_ra], [dec, opposite_dec], unit="deg").cartesian.mean()
        position = SkyCoord(position, representation_type="unitspherical")
        yield partial(_found, butler, position)


def export_steps(work: Work, butler: Butler) -> Iterator[Callable[[], int]]:
    """Yield copies of the repository to one of this process's own."""
    target = work.folder / f"exported{work.number}"
    if not target.exists():
        make_repo(target).close()
    while True:
        yield partial(_copied, butler, target)


def _ingested(ingest: Callable[[], Any]) -> int:
    return int(_unfailed(ingest()).done)


def _found(butler: Butler, position: SkyCoord) -> int:
    return len(find_images(butler, position))


def _copied(butler: Butler, target: Path) -> int:
    with closing(open_repo(target, writeable=True)) as copy:
        return _unfailed(copy_repository(butler, copy)).datasets


def _unfailed(report: Any) -> Any:
    if report.failed:
        raise RuntimeError(f"{len(report.failed)} failed, such as {report.failed[0]}")
    return report


STEPS: dict[str, Callable[[Work, Butler], Iterator[Callable[[], int]]]] = {
    "files": ingest_steps,
    "table": table_steps,
    "search": search_steps,
    "export": export_steps,
}


def prepare(folder: Path, exposures: int, rows: int) -> int:
    """Write files and pieces of a table; return how many images all are."""
    paths = write_exposures(folder / "files", exposures=exposures, size=16)
    (folder / "pieces").mkdir()
    written = 0
    for period in mission.periods(rows):
        table = mission.table(period)
        for begin in range(0, table.num_rows, PIECE):
            pq.write_table(table.slice(begin, PIECE), folder / "pieces" / f"{period.name}-{begin:06d}.parquet")
        written += table.num_rows
    return len(paths) + written


def finish(repo: Path, folder: Path) -> dict[str, Any]:
    """Ingest everything once more, and return what is there and what is wrong."""
    with closing(open_repo(repo, writeable=True)) as butler:
        late = len(_unfailed(ingest_files(butler, files_of(folder), transfer="copy")).ingested)
        for piece in pieces_of(folder):
            late += len(_unfailed(ingest_archive_table(butler, piece, processes=1)).ingested)
        problems = Counter(problem.kind.name for problem in check_repository(butler).problems)
        with butler.query() as query:
            there = query.datasets("level2", "SPHEREx/defaults").count()
        return {"images there": there, "of these, added at the end": late, "problems": dict(problems)}


def loaded(options: argparse.Namespace, folder: Path, url: str) -> dict[str, Any]:
    """Let them all work, disturb them, and return what they did."""
    images = prepare(folder, options.exposures, options.rows)
    repo = folder / "repo"
    make_repo(repo, database=url).close()
    context = get_context("spawn")
    begin, seconds = time.time(), 60 * options.minutes
    kinds = [
        *(("files", "table")[number % 2] for number in range(options.ingesting)),
        *["search"] * options.searching,
        *["export"] * options.exporting,
    ]
    works = [Work(kind, number, repo, folder, begin + seconds) for number, kind in enumerate(kinds)]
    processes = [context.Process(target=work.run) for work in works]
    for process in processes:
        process.start()
    _wait_until(begin + 0.4 * seconds)
    restarted = time.time()
    restart_server(url)
    print(f"  the server was restarted in {time.time() - restarted:.1f} s", flush=True)
    _wait_until(begin + 0.6 * seconds)
    processes[0].kill()
    processes.append(context.Process(target=works[0].run))
    processes[-1].start()
    print("  a process that ingests was killed and started again", flush=True)
    for process in processes:
        process.join()
    return {"images": images, **summed(folder), **finish(repo, folder)}


def _wait_until(moment: float) -> None:
    time.sleep(max(0, moment - time.time()))


def summed(folder: Path) -> dict[str, Any]:
    """Return counts, times and errors by kind of work."""
    lines = [line for path in folder.glob("said-*.jsonl") for line in path.read_text().splitlines(keepends=True)]
    said = [json.loads(line) for line in lines if line.endswith("\n")]  # the last one of a killed process may be half
    found: dict[str, Any] = {}
    for kind in STEPS:
        mine = [one for one in said if one["kind"] == kind]
        done = [one for one in mine if "error" not in one]
        times = [one["seconds"] for one in done]
        found[kind] = {
            "steps": len(times),
            "images": sum(one["images"] for one in done),
            "median [s]": round(statistics.median(times), 3) if times else None,
            "longest [s]": round(max(times), 1) if times else None,
            "errors": dict(Counter(one["error"] for one in mine if "error" in one)),
        }
    return found


def lost(found: dict[str, Any]) -> list[str]:
    """Return what is not as it should be."""
    wrong = []
    if found["images there"] != found["images"]:
        wrong.append(f"{found['images there']} images are there, {found['images']} were ingested")
    wrong += [f"{number} problems {kind}" for kind, number in found["problems"].items() if kind != "NO_CALIBRATION"]
    wrong += [error for kind in STEPS for error in found[kind]["errors"] if error.startswith(UNREADABLE)]
    return wrong


def report(found: dict[str, Any]) -> str:
    """Return the report as text."""
    about = {package: version(package) for package in ("spherex-butler", "lsst-daf-butler")}
    about |= {"Python": platform.python_version(), "cores": str(os.cpu_count()), "date": time.strftime("%Y-%m-%d")}
    rows = [
        f"| {kind} | {of['steps']:,} | {of['images']:,} | {of['median [s]']} | {of['longest [s]']} | "
        f"{sum(of['errors'].values())} |"
        for kind, of in ((kind, found[kind]) for kind in STEPS)
    ]
    errors = sorted({error for kind in STEPS for error in found[kind]["errors"]})
    return "\n".join(
        [
            "# Many processes on one PostgreSQL registry",
            "",
            ", ".join(f"{key} {value}" for key, value in about.items()) + ".",
            "",
            f"{found['images']:,} images, {found['minutes']:g} minutes; the server was restarted as after a crash,",
            f"and a process that ingested was killed. {found['images there']:,} images are there at the end, of which",
            f"{found['of these, added at the end']:,} were added by repeating every ingest. Problems that `verify`",
            f"finds: {found['problems'] or 'none'}.",
            "",
            "| Work | Steps | Images | Median [s] | Longest [s] | Errors |",
            "|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
            *(["What the errors said:", "", *(f"- {error}" for error in errors), ""] if errors else []),
            f"Lost: {'; '.join(lost(found)) or 'nothing'}.",
            "",
        ]
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--ingesting", type=int, default=8, help="processes that ingest")
    parser.add_argument("--searching", type=int, default=4, help="processes that search")
    parser.add_argument("--exporting", type=int, default=2, help="processes that export")
    parser.add_argument("--exposures", type=int, default=1000, help="exposures of six files each")
    parser.add_argument("--rows", type=int, default=120_000, help="rows of the archive's table")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args()
    durable = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    with TemporaryDirectory() as name, running_postgres(**durable) as url:
        found = {"minutes": options.minutes, **loaded(options, Path(name), url)}
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "load.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.output / "load.md").write_text(report(found))
    print(report(found))
    sys.exit(bool(lost(found)))


if __name__ == "__main__":
    main()

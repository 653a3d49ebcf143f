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
import platform
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any

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

    def run(self, answers: Any) -> None:
        """Work, and put what became of it into a queue after each piece, so that a kill loses little."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while time.time() < self.end:
            try:
                with closing(open_repo(self.repo, writeable=self.kind in {"files", "table"})) as butler:
                    for step in STEPS[self.kind](self, butler):
                        begin = time.time()
                        number = step()
                        answers.put((self.kind, self.number, number, begin, time.time() - begin, None))
                        if time.time() >= self.end:
                            return
            except Exception as error:  # noqa: BLE001  (each is reported)
                ours = isinstance(error, SpherexButlerError)
                text = str(error) if ours else f"{UNREADABLE}: {type(error).__name__}: {error}"
                answers.put((self.kind, self.number, 0, time.time(), 0.0, text))
                time.sleep(1)


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
        yield lambda some=some: _unfailed(ingest_files(butler, some, transfer=mode)).done  # type: ignore[misc]


def table_steps(work: Work, butler: Butler) -> Iterator[Callable[[], int]]:
    pieces = pieces_of(work.folder)
    random.Random(work.number).shuffle(pieces)
    for piece in cycle(pieces):
        yield lambda piece=piece: _unfailed(ingest_archive_table(butler, piece, processes=1)).done  # type: ignore[misc]


def search_steps(work: Work, butler: Butler) -> Iterator[Callable[[], int]]:
    order = random.Random(work.number)
    table = pq.read_table(pieces_of(work.folder)[0])
    corners = [list(map(float, region.split()[-8:])) for region in table["s_region"].to_pylist()]
    while True:
        ra, dec, _, _, opposite_ra, opposite_dec, *_ = order.choice(corners)
        position = SkyCoord([ra, opposite_ra], [dec, opposite_dec], unit="deg").cartesian.mean()
        position = SkyCoord(position, representation_type="unitspherical")
        yield lambda position=position: len(find_images(butler, position))  # type: ignore[misc]


def export_steps(work: Work, butler: Butler) -> Iterator[Callable[[], int]]:
    """Yield copies of the repository to one of this process's own."""
    target = work.folder / f"exported{work.number}"
    if not target.exists():
        make_repo(target).close()
    while True:
        yield lambda: _copied(butler, target)


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
    answers = context.Queue()
    end = time.time() + 60 * options.minutes
    kinds = [
        *(("files", "table")[number % 2] for number in range(options.ingesting)),
        *["search"] * options.searching,
        *["export"] * options.exporting,
    ]
    works = [Work(kind, number, repo, folder, end) for number, kind in enumerate(kinds)]
    processes = [context.Process(target=work.run, args=(answers,)) for work in works]
    for process in processes:
        process.start()
    said: list[tuple[Any, ...]] = []
    restart, kill = (end - 60 * options.minutes * share for share in (0.6, 0.4))
    restarted = killed = 0.0
    while any(process.is_alive() for process in processes) or not answers.empty():
        with suppress(Empty):
            said.append(answers.get(timeout=0.2))
        if not restarted and time.time() > restart:
            restarted = time.time()
            restart_server(url)
            print(f"  the server was restarted in {time.time() - restarted:.1f} s", flush=True)
        if not killed and time.time() > kill:
            killed = time.time()
            processes[0].kill()
            processes[0].join()
            processes[0] = context.Process(target=works[0].run, args=(answers,))
            processes[0].start()
            print("  a process that ingests was killed and started again", flush=True)
    return {"images": images, **summed(said), **finish(repo, folder)}


def summed(said: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Return counts, times and errors by kind of work."""
    found: dict[str, Any] = {}
    for kind in STEPS:
        mine = [answer for answer in said if answer[0] == kind]
        times = [answer[4] for answer in mine if answer[5] is None]
        errors = Counter(" ".join(answer[5].split())[:400] for answer in mine if answer[5] is not None)
        found[kind] = {
            "steps": len(times),
            "images": sum(answer[2] for answer in mine),
            "median [s]": round(statistics.median(times), 3) if times else None,
            "longest [s]": round(max(times), 1) if times else None,
            "errors": dict(errors),
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
    about |= {"Python": platform.python_version(), "date": time.strftime("%Y-%m-%d")}
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

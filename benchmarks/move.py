"""A whole repository moved to another database and back, beside Butler's own transfer of its images.

    python benchmarks/move.py [--images 240000] [--rival-images 64000] [--folder DIR] [--output DIR]

Simulates the archive's image table (`mission`) and ingests it; the files stay in the archive.  Moves the repository
from SQLite to PostgreSQL and back, and compares what `verify` finds.  Writes ``move.json`` and ``move.md``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from search import made

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import running_postgres

from spherex_butler import make_repo, open_repo
from spherex_butler.export import CopyReport, copy_repository
from spherex_butler.verify import check_repository

HERE = Path(__file__).parent


def seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    returned = function()
    return time.perf_counter() - begin, returned


def copied(source: Path, target: Path) -> tuple[float, CopyReport]:
    """Copy a repository to one that is there; return the seconds that took, and the report."""
    with closing(open_repo(source)) as butler, closing(open_repo(target, writeable=True)) as copy:
        return seconds(lambda: copy_repository(butler, copy))


def moved(source: Path, target: Path, database: str | None = None) -> tuple[float, CopyReport]:
    """Copy a repository to a new one; return the seconds that took, and the report."""
    make_repo(target, database=database).close()
    return copied(source, target)


def by_butler(source: Path, target: Path) -> float:
    """Transfer the images by Butler's own means; return the seconds that took."""
    with closing(open_repo(source)) as butler, closing(make_repo(target)) as copy:

        def transfer() -> None:
            refs = butler.query_datasets("level2", limit=None, explain=False, with_dimension_records=True)
            copy.transfer_from(butler, refs, transfer="auto", transfer_dimensions=True, skip_missing=False)

        return seconds(transfer)[0]


def wrong(root: Path) -> dict[str, int]:
    """Return how many problems of each kind there are."""
    with closing(open_repo(root)) as butler:
        return dict(Counter(problem.kind.name for problem in check_repository(butler).problems))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=240_000, help="images that are moved")
    parser.add_argument("--rival-images", type=int, default=64_000, help="images that Butler itself transfers")
    parser.add_argument("--folder", type=Path, help="where repositories of these sizes are, or are made")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args()
    found: dict[str, Any] = {"images": options.images, "rival's images": options.rival_images}
    with TemporaryDirectory() as name, running_postgres() as url:
        folder = Path(name)
        source, small = (
            made(options.folder or folder, "sqlite", number, None) for number in (options.images, options.rival_images)
        )
        found["SQLite to PostgreSQL [s]"], there = moved(source, folder / "there", url)
        found["datasets"], found["failed"] = there.datasets, len(there.failed)
        found["again, all there [s]"], _ = copied(source, folder / "there")
        found["PostgreSQL to SQLite [s]"], _ = moved(folder / "there", folder / "back")
        found["problems in the source"] = wrong(source)
        found["problems in PostgreSQL"] = wrong(folder / "there")
        found["problems after the return"] = wrong(folder / "back")
        found["rival's images, by copy_repository [s]"], _ = moved(small, folder / "ours")
        found["rival's images, by transfer_from [s]"] = by_butler(small, folder / "theirs")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "move.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.output / "move.md").write_text(report(found))
    print(report(found))


def report(found: dict[str, Any]) -> str:
    """Return the report as text."""
    about = {package: version(package) for package in ("spherex-butler", "lsst-daf-butler")}
    about |= {"Python": platform.python_version(), "date": time.strftime("%Y-%m-%d")}
    rows = [
        f"| {row} | {f'{value:,.0f}' if isinstance(value, (int, float)) else value} |" for row, value in found.items()
    ]
    return "\n".join(
        [
            "# Moving a repository",
            "",
            ", ".join(f"{key} {value}" for key, value in about.items()) + ".",
            "",
            "| What | |",
            "|---|---:|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()

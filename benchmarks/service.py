"""Measure how long the service takes to answer queries by position, beside dax_obscore.

    python benchmarks/service.py REPO [--pos "CIRCLE 10.1 40.9 1.2"]

The repository may be one that ``scale.py`` or ``search.py`` made. Answers of our service are read by HTTP from a
process of its own, and made in this process, as those of dax_obscore are.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from lsst.dax.obscore.siav2 import siav2_query_from_raw

import spherex_butler
from spherex_butler.obscore.sia_parameters import parse_query
from spherex_butler.obscore.sia_search import sia_rows
from spherex_butler.obscore.siav2 import exporter_config
from spherex_butler.service.sia import answer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from running_service import running_service

ROUNDS = 4


def fetched(address: str, pos: str) -> int:
    """Return the number of rows of an answer."""
    with urlopen(f"{address}?{urlencode({'POS': pos})}") as stream:
        return int(stream.read().count(b"<TR>"))


def measured(what: str, run: Callable[[], int]) -> None:
    run()  # once without counting: what is loaded and cached on first use
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{what}: {rows} rows in {wall:.3f} s, of which the processor took {cpu:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo")
    parser.add_argument("--pos", default="CIRCLE 10.1 40.9 1.2")
    options = parser.parse_args()
    query = parse_query([("POS", options.pos)])
    with running_service(Path(options.repo)) as address:
        measured("service, by HTTP", lambda: fetched(address, options.pos))
    with spherex_butler.open_repo(options.repo) as butler:
        measured("service", lambda: b"".join(answer(sia_rows(butler, query), "votable", most=50_000)).count(b"<TR>"))
        measured(
            "dax_obscore",
            lambda: len(siav2_query_from_raw(butler, exporter_config(), pos=options.pos).get_first_table().array),
        )


if __name__ == "__main__":
    main()

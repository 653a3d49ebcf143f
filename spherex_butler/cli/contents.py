"""``butler spherex list`` and ``summary``."""

from __future__ import annotations

__all__ = ("list_observations", "summary")

from pathlib import Path
from typing import Any

import click

from ..repository.opening import open_butler
from ..search import observations
from ..search import summary as summary_of
from ..search.writing import document, format_of, write_table
from ..summaries import number_of
from . import options

_ROWS = "observations"


@click.command("list", short_help="List exposures, and the images of each.")
@options.repo
@options.detectors
@options.planning_period
@options.survey
@options.timespan
@click.option("--where", default="", metavar="EXPRESSION", help="Only exposures that satisfy this query expression.")
@options.collections
@options.limit
@options.table_output
@options.as_json
def list_observations(
    repo: str,
    *,
    detectors: tuple[int, ...],
    limit: int | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List the exposures that REPO has images of, with time, survey, detectors, release and run.

    Times are mid-exposure, in UTC. An image processed several times has several
    rows. Only the registry is read.

    \b
      butler spherex list repo
      butler spherex list repo --period 2025W51_1A --detector 3
      butler spherex list repo --begin 2025-12-18 --end 2025-12-19 -o day.ecsv
      butler spherex list repo --where "exposure.exposure_time > 100"
    """
    name = None if output is None else format_of(output)
    chosen = limit if limit is not None or output is not None else options.ROWS_SHOWN
    most = chosen or None
    with open_butler(repo) as butler:
        table = observations(butler, detectors=detectors or None, limit=None if most is None else most + 1, **filters)
    more = most is not None and len(table) > most
    table = table[:most]
    if output is not None and name is not None:
        write_table(table, output, name, overwrite=overwrite, rows=_ROWS, besides={"more": more})
        wrote = f"Wrote {number_of(len(table), 'row')} to {output}."
        options.say(["… and more; --limit 0 writes all."] if more else [], wrote)
    elif as_json:
        options.say_json(document(table, _ROWS) | {"more": more})
    else:
        lines = table.pformat(max_lines=-1, max_width=-1, align="<") if len(table) else ["Nothing was found."]
        options.say(["… and more; --limit 0 lists all."] if more else [], *(line.rstrip() for line in lines))


@click.command(short_help="Tell what a repository holds, in ten lines.")
@options.repo
@options.as_json
def summary(repo: str, *, as_json: bool) -> None:
    """Tell what REPO holds: exposures, images by release and detector, surveys, calibrations.

    Everything is counted in the registry; 'butler spherex verify' looks at the
    files.

    \b
      butler spherex summary repo
    """
    with open_butler(repo) as butler:
        found = summary_of(butler)
    if as_json:
        options.say_json(found)
    else:
        click.echo(str(found))

"""``butler spherex list`` and ``summary``."""

from __future__ import annotations

__all__ = ("list_observations", "summary")

from pathlib import Path
from typing import Any

import click

from ..repository.opening import open_butler
from ..search import observations
from ..search import summary as summary_of
from . import options

_FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}


def _table_file(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix not in _FORMATS:
        raise click.BadParameter(f"{path.name!r} names no known format; expected {', '.join(_FORMATS)} at its end.")
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"{str(path.parent)!r} is not a folder; expected one for the table.")
    return path


@click.command("list", short_help="List exposures, and the images there are of each.")
@options.repo
@options.detectors
@click.option("--period", "planning_period", metavar="NAME", help="Only this planning period, such as 2025W51_1A.")
@click.option("--survey", metavar="NAME", help="Only exposures planned for this survey, such as all_sky.")
@click.option("--begin", metavar="TIME", help="Only exposures that end after this time; UTC such as 2025-12-18.")
@click.option("--end", metavar="TIME", help="Only exposures that begin before this time; UTC.")
@click.option("--where", default="", metavar="EXPRESSION", help="Only what satisfies this query expression.")
@options.collections
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Rows to list; 0 for all.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_table_file,
    metavar="FILE",
    help="Write all rows as .ecsv, .csv or .fits, instead of printing some.",
)
@click.option("--overwrite", is_flag=True, help="With --output: replace a file that exists.")
@options.as_json
def list_observations(
    repo: str,
    *,
    begin: str | None,
    end: str | None,
    detectors: tuple[int, ...],
    limit: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List the exposures that REPO has images of: when, for which survey, which detectors, release and run.

    Times are the middle of an exposure, UTC. An image in several processings is
    in several rows. Nothing is read but the registry.

    \b
      butler spherex list repo
      butler spherex list repo --period 2025W51_1A --detector 3
      butler spherex list repo --begin 2025-12-18 --end 2025-12-19 -o day.ecsv
      butler spherex list repo --where "exposure.exposure_time > 100"
    """
    if output is not None and as_json:
        raise click.UsageError("--json prints JSON, and --output writes a table instead; give one of them.")
    if output is not None and output.exists() and not overwrite:
        raise click.UsageError(f"{str(output)!r} exists; give --overwrite to replace it, or another file.")
    most = None if output is not None or limit == 0 else limit
    with open_butler(repo) as butler:
        table = observations(
            butler,
            detectors=detectors or None,
            time=None if begin is None and end is None else (begin, end),
            limit=None if most is None else most + 1,
            **filters,
        )
    more = most is not None and len(table) > most
    table = table[:most]
    if output is not None:
        table.write(output, format=_FORMATS[output.suffix], overwrite=overwrite)
        options.say((), f"Wrote {len(table)} rows to {output}.")
    elif as_json:
        names = table.colnames
        options.say_json(
            {"observations": [dict(zip(names, row, strict=True)) for row in table.iterrows()], "more": more}
        )
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

"""``butler spherex ingest-archive``."""

from __future__ import annotations

__all__ = ("ingest_archive",)

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler

from ..archive.ingest import ingest_archive_table
from ..archive.query import COLLECTIONS, SIA_SERVICE, TAP_SERVICE, query_adql, query_sia, query_tap
from ..archive.tables import ArchiveTable, summarize_archive_table
from ..files.failures import FailedFile
from ..repository.opening import open_butler
from ..repository.reports import IngestReport, Report
from . import options

_SHOWN = 20
_NUMBER = re.compile(r"\d+(\.\d*)?")


def _times(_context: click.Context, _parameter: click.Parameter, values: tuple[str, str] | None) -> Any:
    """Return times in UTC, given as ISO 8601 dates, with or without a time of day, or as MJD."""
    return values and tuple(map(_time, values))


def _time(text: str) -> Time:
    try:
        return Time(float(text), format="mjd", scale="utc") if _NUMBER.fullmatch(text) else Time(text, scale="utc")
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a time; expected one such as 2025-12-01, 2025-12-01T06:30 or the MJD 61010.5."
        ) from None


@click.command()
@options.repo
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option(
    "--access",
    default="irsa",
    show_default=True,
    metavar="irsa|aws|PREFIX",
    help="Where images are read: at the archive, in its bucket, or under a folder or URL with a copy of its tree.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST",
    help="Another host, besides the archive's, that addresses in TABLE may name; repeatable.",
)
@click.option("--release", help="The images' release, such as qr2; by default taken from their addresses.")
@options.processes("Processes that read TABLE; 2 are twice as fast for large tables.", most=2)
@click.option(
    "--query",
    "protocol",
    type=click.Choice(["sia", "tap"]),
    help="Query the archive's service instead of reading a TABLE.",
)
@click.option("--pos", "position", nargs=3, type=float, metavar="RA DEC RADIUS", help="A circle; ICRS, degrees.")
@click.option(
    "--time", nargs=2, callback=_times, metavar="BEGIN END", help="Range of the images' start times: UTC, or MJD."
)
@click.option("--collection", "collections", multiple=True, help=f"For sia, repeatable: {', '.join(COLLECTIONS)}.")
@click.option("--adql", metavar="QUERY|@FILE", help="For tap: your own query, or a file that contains it.")
@click.option("--service", metavar="URL", help=f"A service other than {SIA_SERVICE} or {TAP_SERVICE}.")
@click.option(
    "--maxrec",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="Maximum number of rows in an answer.",
)
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds to wait for an answer.")
@options.dry_run
@options.report
@options.progress
def ingest_archive(
    repo: str,
    tables: tuple[str, ...],
    *,
    access: str,
    allow_hosts: tuple[str, ...],
    release: str | None,
    processes: int,
    protocol: str | None,
    dry_run: bool,
    output: Path | None,
    **query: Any,
) -> None:
    """Ingest the images of the archive's TABLEs into REPO where they are.

    A TABLE is an answer from the archive's image search (SIA2) or its tables
    (TAP: spherex.plane joined with spherex.artifact), saved as VOTable, CSV,
    ECSV or Parquet. Nothing is downloaded: positions and times come from the
    table, and a later get reads what it needs. Images already in REPO are
    skipped, so the same command finishes an interrupted ingest. Rows that are
    not images are reported and do not stop the others; the exit status is then
    1.

    \b
      butler spherex ingest-archive repo qr2.csv -j 2
      butler spherex ingest-archive repo qr2.csv --access aws
      butler spherex ingest-archive repo qr2.csv --access /data/spherex

    --query asks the service; it needs pip install 'spherex-butler[archive]'.
    With tap, images cover the centre of --pos, and RADIUS is 0.

    \b
      butler spherex ingest-archive repo --query sia --pos 10.68 41.27 0.5
      butler spherex ingest-archive repo --query sia --time 2025-12-01 2025-12-08 --collection spherex_qr2
      butler spherex ingest-archive repo --query tap --time 2026-08-01 2026-08-08
      butler spherex ingest-archive repo --query tap --adql @images.adql
    """
    sources = _sources(tables, protocol, processes, query)
    where: dict[str, Any] = {"access": access, "allow_hosts": allow_hosts, "release": release}
    done: dict[str, Report[FailedFile]] = {}
    with open_butler(repo, writeable=not dry_run) as butler:
        try:
            for name, table in sources.items():
                if dry_run:
                    done[name] = summarize_archive_table(table, **where)
                else:
                    _ingest(butler, table, name, done, processes=processes, **where)
        finally:
            _say(done, output)  # also what was done before something went wrong
    sys.exit(any(result.failed for result in done.values()))


def _ingest(butler: Butler, table: ArchiveTable, name: str, done: dict[str, Any], **options: Any) -> None:
    """Ingest a table, and add what was done to the reports, also if it was interrupted."""
    report = IngestReport.of_images()
    try:
        ingest_archive_table(butler, table, report=report, **options)
    finally:
        if report.done or sys.exc_info()[0] is None:
            done[name] = report


def _sources(
    tables: tuple[str, ...], protocol: str | None, processes: int, query: dict[str, Any]
) -> Mapping[str, ArchiveTable]:
    """Return the tables by name."""
    if protocol is None:
        _require_tables(tables, query)
        return {table: table for table in tables}
    if tables or processes > 1:
        raise click.UsageError("--query takes the place of TABLE, and is read by one process; give one or the other.")
    return {"query": _ask(protocol, **query)}


def _require_tables(tables: tuple[str, ...], query: dict[str, Any]) -> None:
    context = click.get_current_context()
    given = [name for name in query if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if not tables:
        raise click.UsageError("There is nothing to ingest; give a TABLE, or --query to ask the archive.")
    if given:
        raise click.UsageError(f"Options of a query were given ({', '.join(given)}), but not --query; expected it too.")


def _ask(
    protocol: str,
    position: tuple[float, float, float] | None,
    time: tuple[Time, Time] | None,
    collections: tuple[str, ...],
    adql: str | None,
    service: str | None,
    **limits: Any,
) -> Iterator[Table]:
    if protocol == "sia":
        if adql:
            raise click.UsageError("--adql is for --query tap.")
        chosen = collections or COLLECTIONS
        return query_sia(position=position, time=time, collections=chosen, service=service or SIA_SERVICE, **limits)
    if collections:
        raise click.UsageError("--collection is for --query sia.")
    limits["service"] = service or TAP_SERVICE
    if adql:
        if position or time:
            raise click.UsageError("--adql is the whole query; put what --pos and --time say into it.")
        text = Path(adql[1:]).read_text(encoding="utf-8") if adql.startswith("@") else adql
        return query_adql(text, **limits)
    if position and position[2]:
        raise click.UsageError("Tables are asked for images that cover a point; expected RADIUS 0, or --query sia.")
    return query_tap(position=position and position[:2], time=time, **limits)


def _say(done: Mapping[str, Report[FailedFile]], path: Path | None) -> None:
    """Print what became of each table, and write all of it to one file."""
    failed = [file for result in done.values() for file in result.failed]
    warnings = [text for result in done.values() for text in result.warnings]
    details = [*warnings, *map(str, failed[:_SHOWN])]
    if len(failed) > _SHOWN:
        details.append(f"… and {len(failed) - _SHOWN} more; {path or '--report FILE'} has all.")
    options.say(
        details, *(f"{name}: {result.summary}" if len(done) > 1 else result.summary for name, result in done.items())
    )
    if done:
        options.write_json(path, _merged([result.to_dict() for result in done.values()]))


def _merged(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one report of several: their numbers added, their lists joined."""
    return {key: sum((report[key] for report in reports), start=type(value)()) for key, value in reports[0].items()}

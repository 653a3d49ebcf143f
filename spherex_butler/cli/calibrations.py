"""``butler spherex calibrations`` and ``explain``."""

from __future__ import annotations

__all__ = ("calibrations", "explain")

import sys
from typing import Any

import click

from ..calibrations.lookup import explain as explain_calibration
from ..calibrations.queries import calibrations_table, certifications_at
from ..calibrations.ranges import as_time
from ..repository.opening import open_butler
from . import options


@click.command(short_help="List when calibrations are valid.")
@options.repo
@click.argument("types", nargs=-1, metavar="[TYPE]...")
@click.option(
    "--at", "time", metavar="TIME", help="Only calibrations valid at this time; UTC such as 2026-07-20T00:00:00."
)
@options.detectors
@options.calibration_collection
@options.as_json
def calibrations(
    repo: str, types: tuple[str, ...], *, time: str | None, detectors: tuple[int, ...], collection: str, as_json: bool
) -> None:
    """List the certified calibrations in REPO, and when they are valid.

    TYPEs are calibration types such as dark; by default all. Times are UTC; a
    range without a begin or an end is open.

    \b
      butler spherex calibrations repo
      butler spherex calibrations repo dark --at 2025-12-18T05:09:34
    """
    with open_butler(repo) as butler:
        found = certifications_at(
            butler, time, dataset_type=types or None, detectors=detectors or None, collection=collection
        )
    if as_json:
        at = None if time is None else as_time(time)
        options.say_json({"collection": collection, "at": at, "calibrations": found})
        return
    table = calibrations_table(found)
    for line in table.pformat(max_lines=-1, max_width=-1, align="<") if len(table) else ["No calibration is valid."]:
        click.echo(line.rstrip())


@click.command(short_help="Tell which calibration an image gets, and why.")
@options.repo
@click.argument("types", nargs=-1, required=True, metavar="TYPE...")
@click.option(
    "--exposure",
    required=True,
    callback=lambda _context, _parameter, text: options.exposure_id(text),
    help="Exposure id or observation id.",
)
@options.detector
@click.option("--collection", help="Collection that records validity; by default all in SPHEREx/defaults.")
@options.as_json
def explain(
    repo: str, types: tuple[str, ...], *, exposure: int, detector: int | None, collection: str | None, as_json: bool
) -> None:
    """Tell which calibration of each TYPE an image in REPO gets, and why.

    It shows the candidates, when each is valid, and which rule decided. The
    exit status is 1 if the image gets no calibration of one of the types.

    \b
      butler spherex explain repo dark --exposure 2025W51_1A_0684_2 --detector 3
    """
    image: dict[str, Any] = {"exposure": exposure} | ({} if detector is None else {"detector": detector})
    with open_butler(repo) as butler:
        explanations = [explain_calibration(butler, name, image, collection=collection) for name in types]
    if as_json:
        options.say_json({"explanations": explanations})
    else:
        click.echo("\n\n".join(map(str, explanations)))
    sys.exit(any(explanation.chosen is None for explanation in explanations))

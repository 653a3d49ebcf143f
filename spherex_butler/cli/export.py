"""``butler spherex export``."""

from __future__ import annotations

__all__ = ("export",)

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from lsst.daf.butler import Butler, DimensionUniverse

from ..constants import DEFAULT_COLLECTION
from ..export.images import export_images
from ..files.placement import TRANSFER_MODES
from .progress import progress_bar


@click.command()
@click.argument("source")
@click.argument("target")
@click.argument("data_id", nargs=-1, metavar="[DIMENSION=VALUE]...")
@click.option("--where", help="Which images, as a query expression; by default all.")
@click.option(
    "--collections", default=DEFAULT_COLLECTION, show_default=True, help="Where to search them, comma-separated."
)
@click.option("--all-processings", is_flag=True, help="Export all processings of an image, not the first found only.")
@click.option(
    "-t",
    "--transfer",
    type=click.Choice([mode for mode in TRANSFER_MODES if mode != "move"]),
    default="auto",
    show_default=True,
    help="How files come in. auto links local files, copies remote ones, and leaves those outside of SOURCE there.",
)
@click.option("--no-calibrations", is_flag=True, help="Leave out the calibrations that are valid for the images.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the report to this file as JSON, too.")
@click.option("--progress/--no-progress", default=None, help="Show progress; by default in a terminal.")
def export(
    source: str,
    target: str,
    data_id: tuple[str, ...],
    where: str | None,
    collections: str,
    all_processings: bool,
    transfer: str,
    no_calibrations: bool,
    dry_run: bool,
    report: Path | None,
    progress: bool | None,
) -> None:
    """Export Level 2 images from SOURCE to TARGET, with their calibrations.

    TARGET is a repository that butler spherex create made. Dataset ids stay,
    runs are in the chains of their releases, and calibrations are valid as in
    SOURCE. An interrupted export is finished by the same command.

    \b
      butler spherex export repo subset planning_period=2025W51_1A
      butler spherex export repo subset --where "detector IN (1, 4)" -t copy
    """
    with (
        Butler.from_config(source) as origin,
        Butler.from_config(target, writeable=not dry_run) as destination,
        progress_bar(show=progress),
    ):
        done = export_images(
            origin,
            destination,
            where=where,
            collections=collections.split(","),
            find_first=not all_processings,
            transfer=transfer,
            calibrations=not no_calibrations,
            dry_run=dry_run,
            **_data_id(data_id, origin.dimensions),
        )
    for failed in done.failed:
        click.echo(str(failed), err=True)
    click.echo(f"{'would be: ' if dry_run else ''}{done.summary}")
    if report is not None:
        report.write_text(json.dumps(done.to_dict(), indent=1) + "\n")
    sys.exit(1 if done.failed else 0)


def _data_id(words: Iterable[str], universe: DimensionUniverse) -> dict[str, Any]:
    """Return the values that words give, one for each dimension."""
    found: dict[str, Any] = {}
    for word in words:
        name, value = _dimension(word)
        if name not in universe.dimensions.names:
            known = ", ".join(sorted(universe.dimensions.names))
            raise click.BadParameter(f"{word!r}: {name!r} is no dimension of SOURCE; it has {known}.")
        if name in found:
            raise click.BadParameter(
                f"{word!r} is a second value of {name!r}; give one, or --where "
                f'"{name} IN ({found[name]!r}, {value!r})" for several.'
            )
        found[name] = value
    return found


def _dimension(word: str) -> tuple[str, Any]:
    name, separator, value = word.partition("=")
    if not separator:
        raise click.BadParameter(f"{word!r} is not of the form DIMENSION=VALUE, such as detector=3.")
    return name, int(value) if value.isdecimal() else value

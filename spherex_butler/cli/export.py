"""``butler spherex export``."""

from __future__ import annotations

__all__ = ("export",)

import sys
from pathlib import Path
from typing import Any

import click
from lsst.daf.butler import Butler

from ..export.images import export_images
from ..files.placement import TRANSFER_MODES
from . import options


@click.command()
@click.argument("source")
@click.argument("target")
@options.data_id
@click.option("--where", help="Which images, as a query expression; by default all.")
@options.collections
@click.option("--all-processings", is_flag=True, help="Export all processings of an image, not only the first found.")
@options.transfer(mode for mode in TRANSFER_MODES if mode != "move")
@click.option("--no-calibrations", is_flag=True, help="Leave out the calibrations that are valid for the images.")
@options.dry_run
@options.report
@options.progress
def export(
    source: str, target: str, data_id: dict[str, Any], *, dry_run: bool, output: Path | None, **choices: Any
) -> None:
    """Export Level 2 images from SOURCE to TARGET, with their calibrations.

    TARGET is a repository made by butler spherex create. Dataset ids stay, runs
    are in the chains of their releases, and calibrations are valid when they
    are in SOURCE. With --transfer auto, files outside of SOURCE stay where they
    are. The same command finishes an export that was interrupted.

    \b
      butler spherex export repo subset planning_period=2025W51_1A
      butler spherex export repo subset --where "detector IN (1, 4)" -t copy
    """
    choices["find_first"] = not choices.pop("all_processings")
    choices["calibrations"] = not choices.pop("no_calibrations")
    with Butler.from_config(source) as origin, Butler.from_config(target, writeable=not dry_run) as destination:
        _require_dimensions(data_id, origin)
        report = export_images(origin, destination, dry_run=dry_run, **choices, **data_id)
    options.say(report.failed, f"{'would be: ' if dry_run else ''}{report.summary}")
    options.write_json(output, report.to_dict())
    sys.exit(bool(report.failed))


def _require_dimensions(data_id: dict[str, Any], butler: Butler) -> None:
    known = butler.dimensions.dimensions.names
    for name, value in data_id.items():
        if name not in known:
            word = f"{name}={value}"
            raise click.BadParameter(
                f"{word!r}: {name!r} is not a dimension of SOURCE; it has {', '.join(sorted(known))}."
            )

"""``butler spherex export``."""

from __future__ import annotations

__all__ = ("export",)

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..export.everything import CopyReport, copy_repository
from ..export.images import ExportReport, export_images
from ..export.transfer import EXPORT_MODES
from ..repository.opening import open_butler
from . import options

_CHOICES = frozenset({"data_id", "where", "collections", "all_processings", "no_calibrations"})


@click.command()
@click.argument("source")
@click.argument("target")
@options.data_id
@click.option("--where", help="Which images, as a query expression; by default all.")
@options.collections
@click.option("--all-processings", is_flag=True, help="Export all processings of an image, not only the first found.")
@options.transfer(EXPORT_MODES)
@click.option("--everything", is_flag=True, help="Copy the whole repository: all dataset types and collections.")
@click.option("--no-calibrations", is_flag=True, help="Leave out the calibrations that are valid for the images.")
@options.dry_run
@options.report
@options.progress
def export(
    source: str,
    target: str,
    data_id: dict[str, Any],
    *,
    everything: bool,
    dry_run: bool,
    output: Path | None,
    **choices: Any,
) -> None:
    """Export Level 2 images from SOURCE to TARGET, with their calibrations, or everything.

    TARGET is a repository made by 'butler spherex create'. Dataset ids are
    kept, runs go into the chains of their releases, and calibrations are valid
    for the same times as in SOURCE. With --transfer auto, files outside of
    SOURCE stay where they are. The same command finishes an interrupted export.
    The exit status is 1 if something could not be exported, or if no image
    matches.

    With --everything, TARGET gets all that SOURCE has: dimension records, all
    datasets, runs, tagged collections, calibrations with their validity, and
    chains. So you move a repository to another database or place for files.

    \b
      butler spherex export repo subset planning_period=2025W51_1A
      butler spherex export repo subset exposure=2025W51_1A_0684_2 detector=D3
      butler spherex export repo subset --where "detector IN (1, 4)" -t copy
      butler spherex export repo shared --everything -t copy
    """
    if everything:
        _require_no_choice()
    report = CopyReport() if everything else ExportReport()
    choices["find_first"] = not choices.pop("all_processings")
    choices["calibrations"] = not choices.pop("no_calibrations")
    with open_butler(source) as origin, open_butler(target, writeable=not dry_run) as destination:
        options.require_dimensions(data_id, origin, "SOURCE")
        with options.always_said(lambda: _say(report, output, dry_run=dry_run), if_only=lambda: report.done):
            if isinstance(report, CopyReport):
                copy_repository(origin, destination, transfer=choices["transfer"], dry_run=dry_run, report=report)
            else:
                export_images(origin, destination, dry_run=dry_run, report=report, **choices, **data_id)
    sys.exit(bool(report.failed))


def _require_no_choice() -> None:
    """Refuse what chooses among the images of a repository."""
    context = click.get_current_context()
    chosen = [
        "DIMENSION=VALUE" if isinstance(parameter, click.Argument) else parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in _CHOICES and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]
    if chosen:
        raise click.UsageError(f"--everything exports everything; leave out {', '.join(chosen)}, or --everything.")


def _say(report: ExportReport | CopyReport, output: Path | None, *, dry_run: bool) -> None:
    options.say(report.failed, f"{options.PLANNED if dry_run else ''}{report.summary}")
    options.write_json(output, report.to_dict())

"""``butler spherex obscore-export``."""

from __future__ import annotations

__all__ = ("obscore_export",)

from pathlib import Path
from typing import Any

import click

from ..obscore.export import export_obscore
from ..obscore.writing import FORMATS
from ..repository.opening import open_butler
from ..summaries import number_of
from . import options


@click.command(short_help="Write a table of all images as the Virtual Observatory knows them.")
@options.repo
@options.new_file("table", required=True, help="The table to write.")
@click.option("--format", type=click.Choice(list(FORMATS)), help="Format of FILE; by default as its name says.")
@options.collections
@click.option("--all-processings", is_flag=True, help="Write all processings of an image, not only the first found.")
@options.progress
def obscore_export(repo: str, *, output: Path, overwrite: bool, all_processings: bool, **choices: Any) -> None:
    """Write the images in REPO as an ObsCore table: where, when and at which wavelengths each was taken, and its file.

    Columns and values are those of the archive's own tables. The rows are
    written a planning period at a time, so that memory does not grow with REPO.

    \b
      butler spherex obscore-export repo -o images.vot
      butler spherex obscore-export repo -o images.parquet --collections SPHEREx/qr2
    """
    with open_butler(repo) as butler:
        number = export_obscore(butler, output, latest=not all_processings, overwrite=overwrite, **choices)
    options.say([], f"Wrote {number_of(number, 'row')} to {output}.")

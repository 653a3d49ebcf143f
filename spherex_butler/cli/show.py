"""``butler spherex show``."""

from __future__ import annotations

__all__ = ("show",)

import sys
from pathlib import Path
from typing import Any

import click
from astropy.nddata import CCDData
from lsst.daf.butler import Butler, DatasetRef

from ..datasets.finding import find_dataset
from ..datasets.report import describe_dataset
from ..repository.opening import open_butler
from . import options


@click.command()
@options.repo
@click.argument("dataset")
@options.data_id
@options.collections
@options.as_json
@options.picture
def show(
    repo: str, dataset: str, data_id: dict[str, Any], *, collections: list[str], as_json: bool, picture: Path | None
) -> None:
    """Show what a dataset is, where its file is, what the file contains and what it was made from.

    DATASET is a dataset type, with its data ID, or a UUID. It may have any
    storage class. Files are not read whole: HDUs, columns or keys are listed
    with their shapes, types and units. For a calibration, you may give an
    exposure that it is valid for. --plot draws an image, with its flags and
    wavelengths.

    The exit status is 1 if a file cannot be read.

    \b
      butler spherex show repo level2 exposure=20255110106842 detector=3
      butler spherex show repo dark exposure=20255110106842 detector=3
      butler spherex show repo 4f0c3a52-5a5e-4f6b-8d53-7b1c3f4f0a11 --json
      butler spherex show repo level2 exposure=20255110106842 detector=3 --plot image.png
    """
    with open_butler(repo) as butler:
        options.require_dimensions(data_id, butler)
        ref = find_dataset(butler, dataset, data_id, collections)
        found = describe_dataset(butler, ref)
        if as_json:
            options.say_json(found)
        else:
            click.echo(str(found))
        if picture is not None and found.ok:
            _draw(butler, ref, picture)
    sys.exit(not found.ok)


def _draw(butler: Butler, ref: DatasetRef, path: Path) -> None:
    from ..plot.files import write_picture  # noqa: PLC0415  (of an extra)

    image = butler.get(ref)
    if not isinstance(image, CCDData):
        raise click.UsageError(
            f"--plot draws images; {ref.datasetType.name} is of the storage class {ref.datasetType.storageClass_name}, "
            "and no image of astropy. Expected such as level2 or dark."
        )
    write_picture(image, path, overwrite=True)  # where it may not be replaced, the option was refused
    options.say([f"Wrote the picture to {path}."])

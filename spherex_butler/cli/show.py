"""``butler spherex show``."""

from __future__ import annotations

__all__ = ("show",)

import uuid
from typing import Any

import click
from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath

from ..constants import INSTRUMENT
from ..errors import ParameterError
from ..files.fits import open_fits
from ..formats.fits.cards import PREFIX, provenance_cards
from ..repository.opening import open_butler
from . import options


@click.command()
@options.repo
@click.argument("dataset")
@options.data_id
@options.collections
def show(repo: str, dataset: str, data_id: dict[str, Any], collections: list[str]) -> None:
    """Show what a dataset is, where its file is and what it was made from.

    DATASET is a dataset type, with its data ID, or a UUID.

    \b
      butler spherex show repo level2 exposure=20255110106842 detector=3
      butler spherex show repo 4f0c3a52-5a5e-4f6b-8d53-7b1c3f4f0a11
    """
    with open_butler(repo) as butler:
        options.require_dimensions(data_id, butler)
        ref = _find(butler, dataset, data_id, collections)
        uri = butler.getURI(ref)
        click.echo(f"dataset     {ref.datasetType.name} ({ref.datasetType.storageClass_name})")
        click.echo(f"data ID     {', '.join(f'{name}={value}' for name, value in ref.dataId.required.items())}")
        click.echo(f"id          {ref.id}")
        click.echo(f"run         {ref.run}")
        click.echo(f"file        {uri}")
        click.echo("provenance")
        provenance = _provenance(uri)
        for name, value in provenance.items():
            click.echo(f"  {name:28}{value}")
        if not provenance:
            click.echo("  none: the file was not written by Butler")


def _provenance(uri: ResourcePath) -> dict[str, Any]:
    """Return what the primary header says of the dataset and its inputs: ``ID``, ``RUN``, ``INPUT 0 ID`` and so on."""
    if uri.getExtension() not in {".fits", ".fit", ".fts", ".fits.fz"}:
        raise ParameterError(f"{str(uri)!r} is no FITS file; provenance is read from FITS headers only.")
    with open_fits(uri) as file:
        header = file.primary.header.header
    return {card.keyword.removeprefix(f"{PREFIX} "): card.value for card in provenance_cards(header)}


def _find(butler: Butler, dataset: str, data_id: dict[str, Any], collections: list[str]) -> DatasetRef:
    if (identifier := _uuid(dataset)) is not None:
        ref = butler.get_dataset(identifier)
    else:
        ref = butler.find_dataset(dataset, {"instrument": INSTRUMENT, **data_id}, collections=collections)
    if ref is None:
        words = " ".join([dataset, *(f"{name}={value}" for name, value in data_id.items())])
        raise ParameterError(f"There is no dataset {words!r} in {', '.join(collections)}.")
    return ref


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None

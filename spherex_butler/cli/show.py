"""``butler spherex show``."""

from __future__ import annotations

__all__ = ("show",)

import uuid
from typing import Any

import click
from lsst.daf.butler import Butler, DatasetRef

from ..constants import DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ParameterError
from ..repository.provenance import read_provenance


@click.command()
@click.argument("repo")
@click.argument("dataset")
@click.argument("data_id", nargs=-1, metavar="[DIMENSION=VALUE]...")
@click.option("--collections", default=DEFAULT_COLLECTION, show_default=True, help="Where to look, comma-separated.")
def show(repo: str, dataset: str, data_id: tuple[str, ...], collections: str) -> None:
    """Show what a dataset is, where its file is and what it was made from.

    DATASET is a dataset type, with its data ID, or a UUID.

    \b
      butler spherex show repo level2 exposure=20255110106842 detector=3
      butler spherex show repo 4f0c3a52-5a5e-4f6b-8d53-7b1c3f4f0a11
    """
    with Butler.from_config(repo) as butler:
        ref = _find(butler, dataset, data_id, collections.split(","))
        uri = butler.getURI(ref)
        click.echo(f"dataset     {ref.datasetType.name} ({ref.datasetType.storageClass_name})")
        click.echo(f"data ID     {', '.join(f'{name}={value}' for name, value in ref.dataId.required.items())}")
        click.echo(f"id          {ref.id}")
        click.echo(f"run         {ref.run}")
        click.echo(f"file        {uri}")
        click.echo("provenance")
        provenance = read_provenance(butler, ref)
        for name, value in provenance.items():
            click.echo(f"  {name:28}{value}")
        if not provenance:
            click.echo("  none: the file was not written by Butler")


def _find(butler: Butler, dataset: str, data_id: tuple[str, ...], collections: list[str]) -> DatasetRef:
    if (identifier := _uuid(dataset)) is not None:
        ref = butler.get_dataset(identifier)
    else:
        values = dict(_dimension(word) for word in data_id)
        ref = butler.find_dataset(dataset, {"instrument": INSTRUMENT, **values}, collections=collections)
    if ref is None:
        raise ParameterError(f"There is no dataset {' '.join((dataset, *data_id))!r} in {', '.join(collections)}.")
    return ref


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _dimension(word: str) -> tuple[str, Any]:
    name, separator, value = word.partition("=")
    if not separator:
        raise click.BadParameter(f"{word!r} is not of the form DIMENSION=VALUE, such as detector=3.")
    return name, int(value) if value.isdecimal() else value

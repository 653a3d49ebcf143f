"""``butler spherex register``."""

from __future__ import annotations

__all__ = ("register",)

import click

from ..repository.instrument import register as register_in
from ..repository.opening import open_butler
from . import options


@click.command()
@options.repo
@click.option("--update", is_flag=True, help="Replace records that differ from those of this package.")
@options.dry_run
def register(repo: str, *, update: bool, dry_run: bool) -> None:
    """Register SPHEREx in REPO: instrument, detectors, channels, dataset types and collections.

    'butler spherex create' does so by itself. This is for a repository of the
    SPHEREx universe, or an extension of it, that was made by 'butler create' or
    Butler.makeRepo. What is there already stays; where it differs, both values
    are printed. The repository's butler.yaml has to include the package's
    configuration, as the second of these lines makes it do.

    \b
      butler create repo --dimension-config resource://spherex_butler/configs/repository/dimensions.yaml
      echo 'includeConfigs: [resource://spherex_butler/configs/repository/butler.yaml]' >> repo/butler.yaml
      butler spherex register repo
    """
    with open_butler(repo, writeable=not dry_run) as butler:
        found = register_in(butler, update=update, dry_run=dry_run)
    click.echo(str(found))

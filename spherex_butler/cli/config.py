"""``butler spherex config-path``."""

from __future__ import annotations

__all__ = ("config_path",)

import click

from .. import paths


@click.command()
def config_path() -> None:
    """Print the folder for DAF_BUTLER_CONFIG_PATH.

    With it in the environment, every repository in any dimension universe knows
    the SPHEREx storage classes and formatters, besides its own:

    \b
      export DAF_BUTLER_CONFIG_PATH=$(butler spherex config-path)

    `butler spherex verify --config` says whether Butler finds it.
    """
    click.echo(paths.config_path())

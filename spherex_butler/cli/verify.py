"""``butler spherex verify``."""

from __future__ import annotations

__all__ = ("verify",)

import sys

import click

from ..config_check import check_configuration


@click.command()
@click.argument("repo", required=False)
@click.option("--config", "configuration", is_flag=True, help="Check the configuration that Butler finds.")
def verify(repo: str | None, configuration: bool) -> None:
    """Check what Butler finds, in this environment and in REPO.

    With --config: which folders of DAF_BUTLER_CONFIG_PATH exist and what is
    read from each, and whether the storage classes, formatters and universe in
    effect are those of this package. The exit status is 1 where there are
    warnings.
    """
    if not configuration:
        raise click.UsageError("Nothing to verify; give --config.")
    report = check_configuration(repo)
    for line in report.lines():
        click.echo(line)
    sys.exit(0 if report.ok else 1)

"""``butler spherex create``."""

from __future__ import annotations

__all__ = ("create",)

from typing import Any

import click

from ..repository.creation import make_repo, preview_repo
from . import options


@click.command()
@options.repo
@click.option("--database", metavar="URL", help="Registry database; by default an SQLite file in REPO.")
@click.option("--datastore-root", metavar="PATH", help="Where files go, a folder or s3:// URI; by default REPO.")
@click.option(
    "--obscore", is_flag=True, help="Keep a table of all images as the Virtual Observatory knows them (ObsCore)."
)
@options.dry_run
def create(repo: str, *, dry_run: bool, **choices: Any) -> None:
    """Make a SPHEREx repository at REPO, a folder or URI.

    spherex_butler.open_repo("REPO") opens it wherever this package is
    installed, and so does Butler.from_config("REPO").

    \b
      butler spherex create repo
      butler spherex create repo --database postgresql://host/name --datastore-root s3://bucket/repo
    """
    if dry_run:
        click.echo(f"{preview_repo(repo, **choices)} Nothing was changed.")
        return
    butler = make_repo(repo, **choices)
    butler.close()
    click.echo(f"Made {repo}. Next: butler spherex ingest {repo} FILES")

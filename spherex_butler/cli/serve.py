"""``butler spherex serve``."""

from __future__ import annotations

__all__ = ("serve",)

from contextlib import suppress

import click

from ..repository.opening import open_butler
from ..service import serve as serve_repository
from ..service.application import MOST_ROWS
from . import options


@click.command(short_help="Answer queries of Virtual Observatory clients (SIA 2.0).")
@options.repo
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    metavar="NUMBER",
    help="Port to listen at; 0 for any that is free.",
)
@options.collections
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=MOST_ROWS,
    show_default=True,
    metavar="NUMBER",
    help="Rows of an answer, unless a query's MAXREC says.",
)
def serve(repo: str, *, host: str, port: int, collections: list[str], max_rows: int) -> None:
    """Serve REPO to clients such as pyvo, TOPCAT and Aladin, until interrupted: images by position, band and time.

    The service is at /sia, and a page that shows what REPO holds at /report.
    REPO is only read. There are no passwords: with the default host, only
    programs on this machine can ask; with another, whoever reaches it can read
    all images.

    \b
      butler spherex serve repo
      butler spherex serve repo --port 0 --collections SPHEREx/qr2
    """

    def started(address: str) -> None:
        options.say([], f"Serving {repo} at {address}/sia; a browser shows it at {address}. Ctrl+C ends it.")

    with open_butler(repo) as butler, suppress(KeyboardInterrupt):
        serve_repository(
            butler, host=host, port=port, collections=collections, most=max_rows, repo=repo, started=started
        )

"""What a command logs: by Butler's own option, and for our loggers as well as for Butler's."""

from __future__ import annotations

__all__ = ("log_level", "logging_for_command")

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

_OURS = "spherex_butler"
_SAID_IN_REPORTS = (f"{_OURS}.repository.reports", f"{_OURS}.spectra.extraction")
_SAID_IN_ERRORS = ("lsst.daf.butler.direct_butler._direct_butler", "psycopg", "urllib3.connectionpool")
_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "VERBOSE", "DEBUG", "TRACE")


def _levels(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str | None, str]:
    """Return levels by logger, `None` for those of Butler and of this package; as ``butler --log-level`` takes them."""
    found: dict[str | None, str] = {}
    for word in (word for value in values for word in value.split(",")):
        name, separator, level = word.rpartition("=")
        if level.upper() not in _LEVELS:
            raise click.BadParameter(f"{level!r} is not a level; expected one of {', '.join(_LEVELS)}.")
        found[name if separator else None] = level.upper()
    return found


log_level = click.option(
    "--log-level",
    multiple=True,
    callback=_levels,
    metavar="LEVEL|COMPONENT=LEVEL",
    help=f"Log level of Butler and this package, or of one logger: [{'|'.join(_LEVELS)}]. With DEBUG, errors show "
    "their traceback.",
)


@contextmanager
def logging_for_command(context: click.Context) -> Iterator[None]:
    """Log as ``--log-level`` says until the end of the block, be it ours or that of ``butler`` itself.

    Warnings that a report holds are not logged as well, since every command prints its report; nor is it, unless levels
    are given, that Butler failed to open a repository, or PostgreSQL's driver to finish a statement: the error says so.
    The same holds for requests that are repeated, and for connections to S3 beyond those that are kept.
    """
    reported, failing = ([logging.getLogger(name) for name in names] for names in (_SAID_IN_REPORTS, _SAID_IN_ERRORS))
    loggers = [logging.getLogger(_OURS), *reported, *failing]
    before = [logger.level for logger in loggers]
    for logger in reported:
        logger.setLevel(logging.ERROR)
    try:
        if levels := _levels_of_butler(context) | dict(context.params.get("log_level") or {}):
            _set_levels(levels)
        else:
            for logger in failing:
                logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _levels_of_butler(context: click.Context) -> dict[str | None, str]:
    """Return what was given to the ``butler`` command, of which ours is a part."""
    given: Any = context.parent.params.get("log_level") if context.parent is not None else None
    return dict(given or {})


def _set_levels(levels: dict[str | None, str]) -> None:
    from lsst.daf.butler.cli.cliLog import CliLog  # noqa: PLC0415  (a second; most commands log as they are)

    CliLog.initLog(longlog=False)
    ours = [(_OURS, levels[None])] if None in levels else []
    CliLog.setLogLevels([*ours, *levels.items()])

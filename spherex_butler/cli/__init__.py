"""The command line: one group, ``butler spherex …`` and ``python -m spherex_butler …``.

Commands decide nothing. They may import every room; each is loaded when it is called. Whatever one
of them raises ends in `.boundary`, as a message and an exit status.
"""

from __future__ import annotations

__all__ = ("get_cli_subcommands", "main")

import importlib
from contextlib import ExitStack
from typing import Any

import click

from .. import __version__
from ..errors import near
from .boundary import error_boundary, warnings_told
from .logs import log_level, logging_for_command
from .wording import as_options

_COMMANDS = {
    "calibrations": "calibrations",
    "certify": "certify",
    "config-path": "config",
    "create": "create",
    "cutouts": "cutouts",
    "decertify": "certify",
    "exec": "execute",
    "explain": "calibrations",
    "export": "export",
    "ingest": "ingest",
    "ingest-archive": "ingest_archive",
    "ingest-calibrations": "ingest_calibrations",
    "list": "contents",
    "obscore-export": "obscore",
    "register": "register",
    "report": "report",
    "search": "search",
    "serve": "serve",
    "show": "show",
    "simulate": "simulate",
    "spectrum": "spectrum",
    "summary": "contents",
    "verify": "verify",
}
"""The module in which each command is; loaded when it is wanted, so that ``butler`` itself stays quick."""


class _LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f".{_COMMANDS[cmd_name]}", __name__)
        commands = (found for found in vars(module).values() if isinstance(found, click.Command))
        return next(command for command in commands if command.name == cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}{near(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        def worded(text: str) -> str:
            return as_options(text, self.get_command(ctx, ctx.invoked_subcommand or ""))

        with ExitStack() as after, error_boundary(worded), warnings_told(worded):
            after.enter_context(logging_for_command(ctx))  # and left when the boundary has logged what it has to
            return super().invoke(ctx)


@click.group("spherex", cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(__version__, prog_name="spherex-butler")
@log_level
def main(log_level: dict[str | None, str]) -> None:
    """SPHEREx data in a Butler repository.

    A first session, with two simulated images (143 MB):

    \b
      butler spherex simulate demo-data --detectors 3
      butler spherex create demo-repo
      butler spherex ingest demo-repo demo-data
      butler spherex search demo-repo 10.1311 40.6246
      butler spherex spectrum demo-repo 10.1311 40.6246
    """


def get_cli_subcommands() -> list[click.Command]:
    """Return what the ``butler`` command shows of this package."""
    return [main]

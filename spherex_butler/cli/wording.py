"""Messages of the library in the words of the command line: ``replace=True`` becomes ``--replace``."""

from __future__ import annotations

__all__ = ("as_options",)

import re

import click

_KEYWORD = re.compile(r"\b(?P<name>[a-z_]+)=(?:True\b|'(?P<text>[^']*)'|(?P<plain>…|\d+))")


def as_options(text: str, command: click.Command | None) -> str:
    """Return a text in which keyword arguments are the options of a command, as far as it has such options."""
    options = {
        parameter.name: max(parameter.opts, key=len)
        for parameter in (command.params if command is not None else ())
        if isinstance(parameter, click.Option)
    }

    def option(found: re.Match[str]) -> str:
        if found["name"] not in options:
            return found[0]
        return " ".join(filter(None, (options[found["name"]], found["text"], found["plain"])))

    return _KEYWORD.sub(option, text)

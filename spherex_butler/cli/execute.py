"""``butler spherex exec``."""

from __future__ import annotations

__all__ = ("execute",)

import os
import shutil

import click

from .. import paths


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def execute(command: str, arguments: tuple[str, ...]) -> None:
    """Run COMMAND where Butler finds the SPHEREx configuration.

    Our folder is put on DAF_BUTLER_CONFIG_PATH, in front of what is there, for
    this command alone. Quantum-backed execution needs it, which does not read
    the repository's butler.yaml:

    \b
      butler spherex exec pipetask run-qbb REPO QUANTUM_GRAPH
    """
    program = shutil.which(command)
    if program is None:
        raise click.UsageError(f"There is no program {command!r} on the PATH: expected one, such as 'pipetask'.")
    folders = [paths.config_path(), *filter(None, os.environ.get(paths.CONFIG_PATH_VARIABLE, "").split(os.pathsep))]
    os.environ[paths.CONFIG_PATH_VARIABLE] = os.pathsep.join(dict.fromkeys(folders))
    os.execv(program, [command, *arguments])  # noqa: S606 - the user's own command, without a shell

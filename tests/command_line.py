"""Commands, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from spherex_butler.cli import main


def invoke(*arguments: object, code: int = 0, **options: object) -> Result:
    """Return what a command prints to either stream, if its exit status is the expected one."""
    result = CliRunner().invoke(main, list(map(str, arguments)), **options)
    assert result.exit_code == code, result.output
    return result


def run(*arguments: object, code: int = 0, **options: object) -> str:
    """Return what a command prints, if its exit status is the expected one."""
    return invoke(*arguments, code=code, **options).output

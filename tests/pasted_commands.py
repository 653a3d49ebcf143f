"""Commands that a report prints, run as they stand."""

from __future__ import annotations

import shlex

from click.testing import CliRunner
from lsst.daf.butler.cli.butler import cli

from spherex_butler.verify import RepositoryReport


def commands(report: RepositoryReport, repo: str = "REPO") -> list[str]:
    """Return the commands that a report prints."""
    return [line.strip() for line in report.lines(repo) if line.startswith("    butler ")]


def execute(command: str, *, code: int = 0) -> str:
    """Run a command in this process, and confirm what it asks."""
    name, *arguments = shlex.split(command)
    assert name == "butler"
    result = CliRunner().invoke(cli, arguments, input="y\n")
    assert result.exit_code == code, result.output
    return result.output

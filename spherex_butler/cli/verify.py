"""``butler spherex verify``."""

from __future__ import annotations

__all__ = ("verify",)

import json
import sys
from pathlib import Path

import click
from lsst.daf.butler import Butler

from ..configuration.check import check_configuration
from ..verify import check_repository, repair
from .progress import progress_bar


@click.command()
@click.argument("repo", required=False)
@click.option("--config", "configuration", is_flag=True, help="Check the configuration that Butler finds.")
@click.option("--checksum", is_flag=True, help="Compare the content of local files that have a checksum on record.")
@click.option("--remote", is_flag=True, help="Ask for remote files, too.")
@click.option(
    "--requests", type=click.IntRange(1), default=16, show_default=True, help="For --remote, how many at once."
)
@click.option("--fix", is_flag=True, help="Repair what safely can be, of what is listed.")
@click.option("--limit", type=click.IntRange(0), default=1000, show_default=True, help="Findings to list of each kind.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the findings to this file as JSON, too.")
@click.option("--progress/--no-progress", default=None, help="Show progress; by default in a terminal.")
def verify(
    repo: str | None,
    configuration: bool,
    checksum: bool,
    remote: bool,
    requests: int,
    fix: bool,
    limit: int,
    report: Path | None,
    progress: bool | None,
) -> None:
    """Check REPO: its chains, regions, calibrations and files; or what Butler finds in this environment.

    With --config: which folders of DAF_BUTLER_CONFIG_PATH exist and what is
    read from each, and whether the storage classes, formatters and universe in
    effect, in REPO if it is given, are those of this package.

    With --fix chains are completed and ordered, region rows are made from the
    headers of local files, and what killed copies left is removed. No dataset
    is removed, and no file of a user.

    The exit status is 1 where there are warnings, or problems that were not
    repaired.
    """
    if configuration:
        _verify_configuration(repo)
    elif repo is None:
        raise click.UsageError("Nothing to verify; give --config, or a repository.")
    else:
        _verify_repository(repo, checksum, requests if remote else 0, fix, limit, report, progress)


def _verify_configuration(repo: str | None) -> None:
    report = check_configuration(repo)
    for line in report.lines():
        click.echo(line)
    sys.exit(0 if report.ok else 1)


def _verify_repository(
    repo: str, checksum: bool, remote: int, fix: bool, limit: int, output: Path | None, progress: bool | None
) -> None:
    with Butler.from_config(repo, writeable=fix) as butler, progress_bar(show=progress):
        found = check_repository(butler, checksum=checksum, remote=remote, limit=limit)
        repairs = repair(butler, found.problems) if fix else []
    for line in (*found.lines(), *map(str, repairs)):
        click.echo(line)
    if fix and found.unlisted:
        click.echo("not repaired: what is not listed; run it again, or with a larger --limit.")
    if output is not None:
        repaired = [{"subject": one.finding.subject, "done": one.done, "message": one.message} for one in repairs]
        output.write_text(json.dumps(found.to_dict() | {"repairs": repaired}, indent=1) + "\n")
    done = {one.finding for one in repairs if one.done}
    sys.exit(0 if done.issuperset(found.problems) and not found.unlisted else 1)

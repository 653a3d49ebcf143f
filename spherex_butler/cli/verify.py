"""``butler spherex verify``."""

from __future__ import annotations

__all__ = ("verify",)

import sys
from pathlib import Path
from typing import Any

import click

from ..configuration.check import check_configuration
from ..repository.opening import open_butler
from ..verify import Repair, RepositoryReport, check_repository, repair
from . import options


@click.command()
@click.argument("repo", required=False)
@click.option("--config", "configuration", is_flag=True, help="Check the configuration that Butler finds.")
@click.option("--checksum", is_flag=True, help="Compare the content of local files with their recorded checksums.")
@click.option("--headers", is_flag=True, help="Compare exposure, detector, time and place in the headers of files.")
@click.option("--remote", is_flag=True, help="Also check that remote files exist.")
@click.option(
    "--requests", type=click.IntRange(1), default=16, show_default=True, help="Concurrent requests of --remote."
)
@click.option("--fix", is_flag=True, help="Repair the listed problems that can be repaired safely.")
@click.option(
    "--complete-chains", is_flag=True, help="With --fix: put runs and chains that are in no chain where they belong."
)
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="PATH",
    help="With --fix: a file, folder, glob or URL with copies of lost and damaged files; repeatable.",
)
@options.dry_run
@click.option(
    "--limit", type=click.IntRange(0), default=1000, show_default=True, help="Findings to list for each kind."
)
@options.as_json
@options.report
@options.progress
def verify(repo: str | None, *, configuration: bool, remote: bool, requests: int, **choices: Any) -> None:
    """Check REPO: its chains, regions, calibrations and files; or the configuration of this environment.

    --config lists the folders of DAF_BUTLER_CONFIG_PATH, whether they exist and
    what Butler reads from each, and checks that the storage classes, formatters
    and universe in effect (in REPO, if given) are those of this package.

    --fix puts chains in order, makes region rows from the headers of local
    files, and removes temporary files that killed copies left. It never removes
    a dataset or a user's file. It adds what is missing from a chain only with
    --complete-chains, as somebody may have taken it out on purpose.

    --from restores lost and damaged files from copies that have the same name
    and the size and checksum on record. A damaged file is kept under another
    name beside the restored one.

    --fix --dry-run shows what would be repaired, and from where.

    The exit status is 1 if there are warnings, or problems that were not
    repaired.

    \b
      butler spherex verify repo --fix
      butler spherex verify repo --checksum --fix --from /backup/level2/
      butler spherex verify --config
    """
    if configuration:
        _verify_configuration(repo, choices["output"], as_json=choices["as_json"])
    elif repo is None:
        raise click.UsageError("Nothing to verify; give --config, or a repository.")
    elif choices["sources"] and not choices["fix"]:
        raise click.UsageError("--from says where to repair from; give --fix, too.")
    else:
        _verify_repository(repo, remote=requests if remote else 0, **choices)


def _verify_configuration(repo: str | None, output: Path | None, *, as_json: bool) -> None:
    found = check_configuration(repo)
    options.write_json(output, found.to_dict())
    if as_json:
        options.say_json(found)
    else:
        click.echo(str(found))
    sys.exit(not found.ok)


def _verify_repository(
    repo: str,
    *,
    fix: bool,
    complete_chains: bool,
    sources: tuple[str, ...],
    dry_run: bool,
    output: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    repairs: list[Repair] = []
    with open_butler(repo, writeable=fix and not dry_run) as butler:
        found = check_repository(butler, **choices)
        if not as_json:
            options.say((), *found.lines(repo))  # before repairs, which may take long or be interrupted
        with options.always_said(
            lambda: _say_whole(found, repairs, output, as_json=as_json), if_only=lambda: as_json or output
        ):
            if fix:
                how: Any = {"complete_chains": complete_chains, "sources": sources or None, "dry_run": dry_run}
                repairs += repair(butler, found.problems, **how)
    if not as_json:
        options.say((), *map(str, repairs))
        if fix and found.unlisted:
            click.echo("not repaired: what is not listed; run it again, or with a larger --limit.")
    done = {one.finding for one in repairs if one.done}
    sys.exit(not done.issuperset(found.problems) or bool(found.unlisted))


def _say_whole(found: RepositoryReport, repairs: list[Repair], output: Path | None, *, as_json: bool) -> None:
    """Write findings and repairs as JSON, to a file or the standard output or both."""
    repaired = [{"subject": one.finding.subject, "done": one.done, "message": one.message} for one in repairs]
    content = found.to_dict() | {"repairs": repaired}
    options.write_json(output, content)
    if as_json:
        options.say_json(content)

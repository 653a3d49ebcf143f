"""``butler spherex certify`` and ``decertify``."""

from __future__ import annotations

__all__ = ("certify", "decertify")

from collections.abc import Callable
from typing import Any

import click

from ..calibrations import validity
from ..repository.opening import open_butler
from . import options

_BOUNDS = "UTC such as 2026-07-20T00:00:00; between exposures."


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which calibrations and when."""
    for option in reversed(
        (
            click.option("--begin", metavar="TIME", help=f"Start of validity; by default open. {_BOUNDS}"),
            click.option("--end", metavar="TIME", help=f"End of validity; by default open. {_BOUNDS}"),
            click.option("--token", multiple=True, help="Only calibrations with this processing token; repeatable."),
            options.detectors,
            options.calibration_collection,
            options.dry_run,
        )
    ):
        command = option(command)
    return command


def _choices(values: dict[str, Any]) -> dict[str, Any]:
    """Return options as our functions take them: `None` for those not given."""
    return values | {name: values[name] or None for name in ("token", "detectors")}


@click.command(short_help="Say when calibrations are valid.")
@options.repo
@click.argument("types", nargs=-1, metavar="[TYPE]...")
@click.option(
    "--rule", type=click.Choice(["latest", "release", "explicit"]), help="How validity is decided; see above."
)
@click.option("--release", help="A release, such as qr2: its newest tokens are valid for its observations.")
@_common
@click.option("--replace", is_flag=True, help="Trim, split or remove conflicting ranges.")
@click.option("--keep", is_flag=True, help="Keep conflicting ranges, with a note, and certify the other calibrations.")
def certify(repo: str, types: tuple[str, ...], **choices: Any) -> None:
    """Say when calibrations in REPO are valid, so that images find them.

    TYPEs are calibration types such as dark; by default all in REPO. There are
    three rules:

    \b
      latest    the newest token that has a file for this detector is valid
                always (default)
      release   of each release, or the one given with --release, the newest
                token that has a file for this detector is valid for its
                observations
      explicit  the newest token, or --token, is valid from --begin to --end

    A newer token replaces an older one certified by the same rule. Ranges
    certified in any other way are conflicts: nothing is done, unless --replace
    or --keep is given. Either everything is done or nothing. What is valid
    already counts as unchanged.

    \b
      butler spherex certify repo
      butler spherex certify repo --rule release --replace
      butler spherex certify repo dark --token cal-drk-v4-2025-161 --end 2026-01-01
    """
    with open_butler(repo, writeable=not choices["dry_run"]) as butler:
        report = validity.certify(butler, types or None, **_choices(choices))
    options.say((), str(report))
    _say_if_dry(choices)


@click.command(short_help="Say that calibrations are not valid.")
@options.repo
@click.argument("types", nargs=-1, required=True, metavar="TYPE...")
@_common
def decertify(repo: str, types: tuple[str, ...], **choices: Any) -> None:
    """Say that calibrations in REPO are not valid, ever or for a time.

    TYPEs are calibration types such as dark. The datasets stay, but images no
    longer find them. Ranges across --begin or --end are trimmed or split.

    \b
      butler spherex decertify repo dark --detector 3
      butler spherex decertify repo dark --begin 2026-01-01 --end 2026-02-01
    """
    with open_butler(repo, writeable=not choices["dry_run"]) as butler:
        report = validity.decertify(butler, types, **_choices(choices))
    options.say((), str(report))
    _say_if_dry(choices)


def _say_if_dry(choices: dict[str, Any]) -> None:
    if choices["dry_run"]:
        click.echo("Nothing was changed.")

"""What commands share: arguments and options, and how they say and write what they did."""

from __future__ import annotations

__all__ = (
    "PLANNED",
    "ROWS_SHOWN",
    "always_said",
    "as_json",
    "calibration_collection",
    "collections",
    "data_id",
    "detector",
    "detectors",
    "dry_run",
    "exposure_id",
    "limit",
    "new_file",
    "picture",
    "planning_period",
    "processes",
    "progress",
    "repo",
    "report",
    "require_dimensions",
    "require_picture",
    "say",
    "say_json",
    "survey",
    "table_output",
    "timespan",
    "transfer",
    "whole_number",
    "write_json",
)

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import click
from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress, ProgressBar, ProgressHandler
from tqdm import tqdm

from ..constants import CALIBRATION_COLLECTION, DEFAULT_COLLECTION, DETECTORS
from ..datasets.finding import dimension_names
from ..errors import FormatError, near
from ..files.placement import TRANSFER_MODES, require_replaceable
from ..names import ObservationId, detector_number
from ..repository.json_values import json_text
from .wording import as_options

PLANNED = "Dry run, nothing changed: "
"""What the summary of a dry run begins with."""

ROWS_SHOWN = 100
"""Rows of a table that a person reads, unless the limit says otherwise."""

_MOST_DIGITS = 18
"""Of a number that fits into 64 bits, which is what databases hold."""


_PICTURES = (".png", ".svg", ".pdf")  # as of plot.files, which needs an extra

_Command: TypeAlias = Callable[..., None]


def _writable(what: str) -> Callable[[click.Context, click.Parameter, Path | None], Path | None]:
    """Return what refuses a file that cannot be written before anything is done."""

    def checked(context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
        if path is not None and str(path) == "-":
            prints = any(option.name == "as_json" for option in context.command.params)
            hint = ", or --json in its place, which prints" if prints else ""
            raise click.BadParameter(f"'-' does not stand for the standard output here; expected a file{hint}.")
        if path is not None and not path.parent.is_dir():
            raise click.BadParameter(f"{str(path.parent)!r} is not a folder; expected one for the {what}.")
        return path

    return checked


def _detector(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Return a detector that exists, given by its number or its name."""
    if value is None:
        return None
    try:
        number = detector_number(value)
    except FormatError as error:
        raise click.BadParameter(str(error)) from error
    if number not in DETECTORS:
        raise click.BadParameter(f"there is no detector {number}; expected a number from 1 to {len(DETECTORS)}.")
    return number


def _detectors(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[int | None, ...]:
    return tuple(_detector(context, parameter, one) for value in values for one in value.split(","))


def _data_id(_context: click.Context, _parameter: click.Parameter, words: Sequence[str]) -> dict[str, Any]:
    """Return the values that words give, one for each dimension."""
    found: dict[str, Any] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise click.BadParameter(f"{word!r} is not of the form DIMENSION=VALUE, such as detector=3.")
        if name in found:
            raise click.BadParameter(f"{word!r} is a second value of {name!r}; expected one for each dimension.")
        found[name] = whole_number(value) if value.isdecimal() else value
    return found


def require_dimensions(data_id: Mapping[str, Any], butler: Butler, what: str = "REPO") -> None:
    """Refuse names that are no dimensions of a repository."""
    for name, value in data_id.items():
        if name not in butler.dimensions.dimensions.names:
            known = dimension_names(butler.dimensions.dimensions.names, butler)
            word = f"{name}={value}"
            raise click.BadParameter(
                f"{word!r}: {name!r} is not a dimension of {what}{near(name, known)} It has {', '.join(known)}."
            )


def whole_number(digits: str) -> int:
    """Return a number that a database can hold."""
    if len(digits.lstrip("0")) > _MOST_DIGITS:
        raise click.BadParameter(f"{digits} is too large a number; expected one of at most {_MOST_DIGITS} digits.")
    return int(digits)


def exposure_id(text: str) -> int:
    """Return an exposure id, given as such or as an observation id."""
    try:
        return whole_number(text) if text.isdecimal() else ObservationId.parse(text).exposure_id
    except FormatError as error:
        raise click.BadParameter(f"{error} An exposure id such as 20255110106842 will do, too.") from error


repo = click.argument("repo")
data_id = click.argument("data_id", nargs=-1, metavar="[DIMENSION=VALUE]...", callback=_data_id)
collections = click.option(
    "--collections",
    default=DEFAULT_COLLECTION,
    show_default=True,
    callback=lambda _context, _parameter, text: text.split(","),
    help="Collections to search, comma-separated.",
)
calibration_collection = click.option(
    "--collection", default=CALIBRATION_COLLECTION, show_default=True, help="Collection that records validity."
)
detector = click.option(
    "--detector",
    callback=_detector,
    metavar="DETECTOR",
    help="Detector, 1 to 6 or D1 to D6; not needed for types with one file for all detectors.",
)
detectors = click.option(
    "--detector",
    "detectors",
    callback=_detectors,
    metavar="DETECTOR",
    multiple=True,
    help="Only this detector, 1 to 6 or D1 to D6, or several: 3,6; repeatable.",
)
planning_period = click.option(
    "--period", "planning_period", metavar="NAME", help="Only this planning period, such as 2025W51_1A."
)
survey = click.option("--survey", metavar="NAME", help="Only exposures planned for this survey, such as all_sky.")
limit = click.option(
    "--limit",
    type=click.IntRange(0),
    metavar="NUMBER",
    help=f"Only the first NUMBER rows; 0 for all. By default {ROWS_SHOWN} are shown, and all are written to files.",
)
dry_run = click.option("-n", "--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
report = click.option(
    "--report",
    "output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=_writable("report"),
    metavar="FILE",
    help="Write a report to this file as JSON.",
)

as_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a single JSON document; warnings and progress go to standard error.",
)
"""The option of commands that print what they found; `say_json` prints the document."""


def processes(what: str, most: int | None = None) -> Callable[[_Command], _Command]:
    """Return the option that says how many processes do a job, with its help text and greatest value."""
    return click.option(
        "-j", "--processes", type=click.IntRange(1, most), default=1, show_default=True, metavar="NUMBER", help=what
    )


def transfer(modes: Iterable[str] = TRANSFER_MODES) -> Callable[[_Command], _Command]:
    """Return the option that says how files come into a repository, with its possible values."""
    return click.option(
        "-t",
        "--transfer",
        type=click.Choice(list(modes)),
        default="auto",
        show_default=True,
        help="How files enter the repository: auto links local files and copies remote ones; direct leaves them where "
        "they are.",
    )


def picture(command: _Command) -> _Command:
    """Return a command that gets as ``picture`` the file to draw to, `None` for none."""

    @click.option(
        "--plot",
        "picture",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_writable("picture"),
        metavar="FILE",
        help="Draw the image to this file: .png, .svg or .pdf. Needs the extra plot.",
    )
    @click.option("--overwrite", is_flag=True, help="With --plot: replace a file that exists.")
    @wraps(command)
    def checked(*arguments: Any, picture: Path | None, overwrite: bool, **options: Any) -> None:
        require_picture(picture, overwrite=overwrite)
        command(*arguments, picture=picture, **options)

    return checked


def require_picture(path: Path | None, *, overwrite: bool) -> None:
    """Refuse a file that no picture can be written to.

    Raises
    ------
    click.UsageError
        Raised if its name ends otherwise, its folder is not there, or it is there and not to be replaced.
    """
    if path is not None and path.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"{str(path)!r} is not a picture; expected a name that ends in {', '.join(_PICTURES)}.")
    if path is not None and not path.parent.is_dir():
        raise click.UsageError(f"{str(path.parent)!r} is not a folder; expected one for the picture.")
    _refuse_existing(path, overwrite=overwrite)


class _Bars(ProgressHandler):
    """Bars on the standard error; without a total they show count and rate."""

    @contextmanager
    def get_progress_bar(
        self, iterable: Iterable[Any] | None, desc: str, total: int | None, level: int
    ) -> Iterator[ProgressBar[Any]]:
        with tqdm(iterable, desc=desc, total=total, file=sys.stderr, unit="", dynamic_ncols=True) as bar:
            yield bar
        sys.stderr.flush()  # the end of its line, before anything else is said


@contextmanager
def _progress_bar(*, show: bool | None) -> Iterator[None]:
    """Show progress on the standard error; by default only where that is a terminal."""
    if not (sys.stderr.isatty() if show is None else show):
        yield
        return
    logger = logging.getLogger(__name__.partition(".")[0])
    level = logger.level
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))  # Butler shows progress from this level on
    Progress.set_handler(_Bars())
    try:
        yield
    finally:
        Progress.set_handler(None)
        logger.setLevel(level)


def progress(command: _Command) -> _Command:
    """Return a command that shows its progress, if its option says so."""

    @click.option("--progress/--no-progress", default=None, help="Show progress; by default only in a terminal.")
    @wraps(command)
    def shown(*arguments: Any, progress: bool | None, **options: Any) -> None:
        with _progress_bar(show=progress):
            command(*arguments, **options)

    return shown


def timespan(command: _Command) -> _Command:
    """Return a command that gets as ``time`` what two options give, from begin to end; `None` without both."""

    @click.option("--begin", metavar="TIME", help="Only exposures that end after this time; UTC such as 2025-12-18.")
    @click.option("--end", metavar="TIME", help="Only exposures that begin before this time; UTC.")
    @wraps(command)
    def timed(*arguments: Any, begin: str | None, end: str | None, **options: Any) -> None:
        command(*arguments, time=None if begin is None and end is None else (begin, end), **options)

    return timed


def new_file(what: str, *, required: bool = False, help: str = "Write to this file.") -> Callable[[_Command], _Command]:  # noqa: A002 - click's word
    """Return what gives a command a file to write as ``output``, and whether to ``overwrite`` one that is there."""

    def decorated(command: _Command) -> _Command:
        @click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            callback=_writable(what),
            required=required,
            metavar="FILE",
            help=help,
        )
        @click.option("--overwrite", is_flag=True, help="With --output: replace an existing file.")
        @wraps(command)
        def checked(*arguments: Any, output: Path | None, overwrite: bool, **options: Any) -> None:
            _refuse_existing(output, overwrite=overwrite)
            command(*arguments, output=output, overwrite=overwrite, **options)

        return checked

    return decorated


def table_output(command: _Command) -> _Command:
    """Return a command that can write a table to a new file as ``output``, instead of printing it; see `as_json`."""

    @new_file("table", help="Write to this file instead of printing: .ecsv, .csv, .fits, .vot, .parquet or .json.")
    @wraps(command)
    def checked(*arguments: Any, output: Path | None, as_json: bool, **options: Any) -> None:
        if output is not None and as_json:
            raise click.UsageError("--json prints JSON, and --output writes a file instead; give one of them.")
        command(*arguments, output=output, as_json=as_json, **options)

    return checked


def _refuse_existing(path: Path | None, *, overwrite: bool) -> None:
    if path is not None and os.path.lexists(path) and not overwrite:
        raise click.UsageError(f"{str(path)!r} exists; give --overwrite to replace it, or another file.")
    if path is not None:
        require_replaceable(path)


def say(details: Iterable[object], *summaries: str) -> None:
    """Print details to the standard error, a line each, and summaries to the standard output."""
    for line in details:
        click.echo(_worded(line), err=True)
    for summary in summaries:
        click.echo(_worded(summary))


def _worded(line: object) -> str:
    """Return a line in the words of the command that says it."""
    context = click.get_current_context(silent=True)
    return as_options(str(line), None if context is None else context.command)


def say_json(content: Any) -> None:
    """Print a JSON document to the standard output, where with ``--json`` nothing else goes."""
    click.echo(json_text(content))


@contextmanager
def always_said(say: Callable[[], None], *, if_only: Callable[[], object]) -> Iterator[None]:
    """Say at the end of the block what it did; where an error ends it, only if ``if_only`` says that it did something.

    The error is told after that, by the boundary of all commands.
    """
    try:
        yield
    except BaseException:
        if if_only():
            say()
        raise
    say()


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write a report, if a path is given."""
    if path is not None:
        path.write_text(json_text(content) + "\n", encoding="utf-8")

"""Where every error of a command ends: one readable message and an exit status.

What this package raises speaks for itself. What comes from elsewhere is told by where it comes from: the database,
Butler, a store, the operating system. Anything else is unexpected, and says so. A traceback comes with ``--log-level
DEBUG`` only.
"""

from __future__ import annotations

__all__ = ("INTERRUPTED", "error_boundary", "message_of", "warnings_told")

import errno
import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..errors import SpherexButlerError, SpherexButlerWarning, hide_secrets

INTERRUPTED = 130
"""Exit status of a command that SIGINT ended, as in a shell."""

_FINALIZED = 0.05  # seconds after which what dropped an interrupt is over

_log = logging.getLogger(__name__)


@contextmanager
def warnings_told(worded: Callable[[str], str] = str) -> Iterator[None]:
    """Print warnings of this package as lines for the reader, in the words of the command line, and not of code."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *place: Any, **line: Any) -> None:
            if issubclass(category, SpherexButlerWarning):
                click.echo(f"Warning: {worded(str(message))}", err=True)
            else:
                others(message, category, *place, **line)

        warnings.showwarning = tell
        yield


@contextmanager
def error_boundary(worded: Callable[[str], str] = str) -> Iterator[None]:
    """Turn whatever is raised in the block into a message for the reader, and an exit status.

    Messages of errors that are not the command line's own are put into its words by ``worded``.
    """
    try:
        with _no_interrupt_dropped():
            yield
    except KeyboardInterrupt as error:
        _debug(error)
        click.echo("Interrupted. What was finished stays; give the same command again to go on.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from error
    except click.ClickException as error:
        _debug(error)
        said = error.format_message()
        if (hidden := hide_secrets(said)) == said:
            raise
        raise _like(error, hidden) from error
    except (click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader of our output had enough; click ends quietly
        _debug(error)
        raise click.ClickException(worded(hide_secrets(message_of(error)))) from error


@contextmanager
def _no_interrupt_dropped() -> Iterator[None]:
    """Interrupt again where Python drops an interrupt, as it does with all that is raised in a finalizer."""
    before = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            threading.Timer(_FINALIZED, _interrupt).start()  # at once, it would be dropped again
        else:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _like(error: click.ClickException, message: str) -> click.ClickException:
    """Return an error of the same status with another message."""
    return (
        click.UsageError(message, error.ctx) if isinstance(error, click.UsageError) else click.ClickException(message)
    )


def _debug(error: BaseException) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("the command ended with\n%s", hide_secrets("".join(traceback.format_exception(error))))


def message_of(error: Exception) -> str:
    """Return what an error means to the reader: what was found, what was expected, what to do."""
    if isinstance(error, SpherexButlerError):
        return str(error)
    explained = next((text for explain in _EXPLAIN if (text := explain(error)) is not None), None)
    if explained is not None:
        return explained
    return (
        f"Unexpected {type(error).__name__}: {_text(error) or 'no reason was given'}. Give the command again with "
        "--log-level DEBUG for the traceback, and report it if it is not clear what to do."
    )


def _text(error: BaseException) -> str:
    """Return on one line what an error says, without the full stop, nor the quotes around that of a KeyError."""
    first = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(first).split()).rstrip(".")


def _of_database(error: Exception) -> str | None:
    from ..repository.database_errors import explain_database_error  # noqa: PLC0415  (SQLAlchemy takes its time)
    from ..repository.failures import database_error  # noqa: PLC0415

    found = database_error(error)
    return None if found is None else explain_database_error(found)


_EXPRESSION = "Expected an expression such as \"planning_period = '2025W51_1A' AND detector IN (1, 4)\"."
_LOOK = {
    "MissingDatasetTypeError": "Expected one of the repository's; 'butler query-dataset-types REPO' lists them.",
    "MissingCollectionError": "Expected one of the repository's; 'butler query-collections REPO' lists them.",
    "CollectionTypeError": "'butler query-collections REPO' lists collections with their types.",
    "NoDefaultCollectionError": "Give the collections to search, such as --collections SPHEREx/defaults.",
    "DimensionNameError": "Give a value for each dimension of the dataset type, such as exposure=20255110106842 "
    "detector=3.",
    "DimensionValueError": "Give dimensions of the dataset type, such as exposure=20255110106842 detector=3.",
    "DataIdValueError": "Give registered values; 'butler query-dimension-records REPO exposure' lists exposures.",
    "InvalidQueryError": _EXPRESSION,
    "UserExpressionError": _EXPRESSION,
    "UnimplementedQueryError": "Ask for less at once, such as without regions or with one dataset type.",
    "CalibrationLookupError": "'butler spherex explain REPO TYPE --exposure ID' tells which calibrations are valid.",
    "DatasetNotFoundError": "'butler query-datasets REPO TYPE' lists the datasets that are there.",
    "ConflictingDefinitionError": "Something else of this name is registered already; nothing was changed.",
    "ButlerServerError": "See whether the Butler server runs, and whether it takes the token in "
    "BUTLER_RUBIN_ACCESS_TOKEN; its log tells more.",
    "InconsistentUniverseError": "Expected repositories of the same dimension universe.",
    "IncompatibleVersionError": "The repository was made by another version of Butler; open it with that one, or "
    "migrate it.",
}
"""What to do about an error of Butler's, by the name of its class."""


def _of_butler(error: Exception) -> str | None:
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("lsst.daf.butler")]
    if not names:
        return None
    advice = next((_LOOK[name] for name in names if name in _LOOK), "Give the command with --help for examples.")
    return f"{_text(error)}. {advice}"


_S3 = "Check the credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID), S3_ENDPOINT_URL and the name of the bucket."
_WEB = "The web server did not answer as expected: {}. Check the address and the network, and try again."
_STORES = {
    "botocore": f"The S3 store did not do what was asked: {{}}. {_S3}",
    "boto3": f"The S3 store cannot be used: {{}}. {_S3}",
    "aiohttp": _WEB,
    "httpcore2": _WEB,
    "httpx2": _WEB,
    "requests": _WEB,
    "urllib3": _WEB,
    "pyvo": "The archive's service did not answer as expected: {}. Check the query and --service, and try again.",
}
"""By the package that an error comes from."""


def _of_store(error: Exception) -> str | None:
    for kind in type(error).__mro__:
        if (meaning := _STORES.get(kind.__module__.partition(".")[0])) is not None:
            return meaning.format(_text(error) or type(error).__name__)
    return None


def _of_formatter(error: Exception) -> str | None:
    """Explain what a formatter met, which Butler raises as an error of its own, naming class and dataset."""
    cause = error.__cause__
    wrapped = isinstance(error, ValueError) and str(error).startswith("Failure from formatter")
    return message_of(cause) if wrapped and isinstance(cause, Exception) else None


_EXTRAS = {
    "remote": ("httpx2",),
    "https": ("aiohttp", "fsspec", "requests"),
    "s3": ("boto3", "botocore", "s3fs"),
    "postgres": ("psycopg", "psycopg2"),
    "archive": ("pyarrow", "pyvo"),
    "plot": ("matplotlib",),
}
"""What brings a module that is not installed."""


def _of_import(error: Exception) -> str | None:
    if not isinstance(error, ImportError):
        return None
    words = set(" ".join([error.name or "", _text(error)]).replace("'", " ").replace(".", " ").split())
    extra = next((extra for extra, modules in _EXTRAS.items() if words.intersection(modules)), "all")
    return f"This needs a package that is not installed: {_text(error)}. Run pip install 'spherex-butler[{extra}]'."


_SYSTEM = {
    errno.EACCES: "Expected permission to read and, where it is changed, to write it.",
    errno.EPERM: "Expected permission to read and, where it is changed, to write it.",
    errno.EROFS: "The file system is read-only; expected one that can be written to.",
    errno.ENOENT: "Expected a file or folder that exists; correct the path.",
    errno.ENOTDIR: "Expected a folder; correct the path.",
    errno.EISDIR: "Expected a file; correct the path.",
    errno.EEXIST: "Give another path, or remove what is there.",
    errno.ENOSPC: "Make room, and give the same command again.",
    errno.EDQUOT: "Make room, and give the same command again.",
    errno.ENAMETOOLONG: "Expected a shorter name.",
}


def _of_system(error: Exception) -> str | None:
    if not isinstance(error, OSError):
        return None
    named = error.strerror and error.filename is not None
    said = f"{error.strerror}: {str(error.filename)!r}" if named else _text(error)
    advice = _SYSTEM.get(error.errno or 0, "See to it, and give the same command again.")
    return f"{said or type(error).__name__}. {advice}"


def _of_validation(error: Exception) -> str | None:
    """Explain what pydantic refused, a field each; told by the class's home, as pydantic takes long to load."""
    if not type(error).__module__.startswith(("pydantic", "pydantic_core")):
        return None
    errors: list[dict[str, Any]] = getattr(error, "errors", list)()
    fields = [f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in errors]
    return f"What was read is not as expected: {'; '.join(fields) or _text(error)}. Correct it there."


def _of_limits(error: Exception) -> str | None:
    if isinstance(error, OverflowError):
        return f"A number is too large: {_text(error)}. Expected ids and values that fit into 64 bits."
    if isinstance(error, RecursionError):
        return "Something is nested too deeply to be read. Expected a plain file or configuration."
    if isinstance(error, MemoryError):
        return "There is not enough memory for this. Do less at once, or with fewer processes."
    if isinstance(error, NotImplementedError) and "URI" in str(error):
        return f"{_text(error)}. Expected a path, or a file, s3 or https URL."
    return None


def _of_yaml(error: Exception) -> str | None:
    if not type(error).__module__.startswith("yaml"):
        return None
    return f"A configuration file is not YAML: {_text(error)}. Correct it there."


_EXPLAIN: tuple[Callable[[Exception], str | None], ...] = (
    _of_database,
    _of_butler,
    _of_formatter,
    _of_store,
    _of_import,
    _of_system,
    _of_validation,
    _of_yaml,
    _of_limits,
)

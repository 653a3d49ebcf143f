"""The boundary where errors of commands end: what is said of those that come from elsewhere, and what is logged."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import NoReturn

import aiohttp
import botocore.exceptions
import click
import psycopg
import pydantic
import pytest
import pyvo
import sqlalchemy
import yaml
from archive_samples import M31
from command_line import invoke
from lsst.daf.butler import (
    CalibrationLookupError,
    DimensionNameError,
    InvalidQueryError,
    MissingCollectionError,
    MissingDatasetTypeError,
)
from lsst.daf.butler.registry import ConflictingDefinitionError
from made_once import copy_exposures, copy_repo

import spherex_butler
from spherex_butler.cli.boundary import error_boundary, message_of, warnings_told
from spherex_butler.cli.logs import logging_for_command
from spherex_butler.errors import ParameterError, SpherexButlerWarning

BUTLER = Path(sys.executable).with_name("butler")
SOURCE = Path(spherex_butler.__file__).parents[1]


class _Shape(pydantic.BaseModel):
    size: int


def raised_by(action) -> Exception:
    with pytest.raises(Exception) as info:  # noqa: PT011
        action()
    return info.value


def of_database(kind: type, said: Exception) -> Exception:
    return kind("SELECT secret", {}, said)


def sqlite_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(f"it said {name}")
    error.sqlite_errorname = name
    return error


def formatter_failed(cause: Exception) -> NoReturn:
    """Raise what Butler raises if a formatter fails."""
    raise ValueError("Failure from formatter 'a.Formatter' for dataset 12-34 (level2 from s3://b/x.fits): …") from cause


class _Refused(psycopg.OperationalError):
    sqlstate = "28P01"


class _Forbidden(psycopg.ProgrammingError):
    sqlstate = "42501"


# Each with the beginning of its message, and what it says to do.
FOREIGN = {
    "ours": (ParameterError("As it is."), "As it is.", "As it is."),
    "dataset type": (MissingDatasetTypeError("No 'x'."), "No 'x'. Expected one of", "query-dataset-types REPO"),
    "collection": (MissingCollectionError("No 'x'"), "No 'x'. Expected one of", "query-collections REPO"),
    "dimension": (DimensionNameError("No exposure."), "No exposure. Give a value for each dimension", "exposure=20255"),
    "query": (InvalidQueryError("Cannot parse"), "Cannot parse. Expected an expression", "detector IN (1, 4)"),
    "calibration": (CalibrationLookupError("Ambiguous."), "Ambiguous. 'butler spherex explain", "which calibrations"),
    "conflict": (ConflictingDefinitionError("Exists"), "Exists. Something else of this name", "nothing was changed"),
    "locked": (
        of_database(sqlalchemy.exc.OperationalError, sqlite_error("SQLITE_BUSY")),
        "The database is locked by another process. Try again",
        "SQLITE_BUSY",
    ),
    "full": (
        of_database(sqlalchemy.exc.OperationalError, sqlite_error("SQLITE_FULL")),
        "The disk with the database is full. Make room",
        "give the same command again",
    ),
    "damaged": (
        of_database(sqlalchemy.exc.DatabaseError, sqlite_error("SQLITE_CORRUPT")),
        "The database is damaged.",
        "Restore the file from a backup",
    ),
    "wrong password": (
        of_database(sqlalchemy.exc.OperationalError, _Refused("authentication failed")),
        "The database refused this user. Butler takes user and password from ~/.lsst/db-auth.yaml",
        "PGPASSFILE",
    ),
    "no connection": (
        of_database(sqlalchemy.exc.OperationalError, psycopg.OperationalError('FATAL: database "sky" does not exist')),
        "There is no such database on that server. Have it made",
        "correct its name",
    ),
    "refused connection": (
        of_database(
            sqlalchemy.exc.OperationalError,
            psycopg.OperationalError('FATAL: password authentication failed for user "anna"'),
        ),
        "The database refused this user. Butler takes user and password from ~/.lsst/db-auth.yaml",
        "PGPASSFILE",
    ),
    "no rights": (
        of_database(sqlalchemy.exc.ProgrammingError, _Forbidden("permission denied for table x")),
        "This user may not do that in the database. Ask its owner",
        "permission denied for table x",
    ),
    "S3": (botocore.exceptions.NoCredentialsError(), "The S3 store did not do what was asked: Unable", "AWS_PROFILE"),
    "formatter": (
        raised_by(lambda: formatter_failed(botocore.exceptions.NoCredentialsError())),
        "The S3 store did not do what was asked: Unable",
        "AWS_PROFILE",
    ),
    "web": (aiohttp.ClientPayloadError("cut off"), "The web server did not answer as expected: cut off.", "try again"),
    "service": (pyvo.DALQueryError("no column x"), "The archive's service did not answer", "Check the query"),
    "module": (
        raised_by(lambda: __import__("pyvo.nothing")),
        "This needs a package that is not installed: No module named 'pyvo.nothing'",
        "pip install 'spherex-butler[archive]'",
    ),
    "https": (
        ModuleNotFoundError("No module named 'requests'", name="requests"),
        "This needs a package that is not installed",
        "pip install 'spherex-butler[https]'",
    ),
    "disk": (OSError(errno.ENOSPC, "No space left", "/x"), "No space left: '/x'. Make room", "same command again"),
    "folder": (
        PermissionError(errno.EACCES, "Permission denied", "/x"),
        "Permission denied: '/x'. Expected",
        "write it",
    ),
    "message alone": (OSError("the server hangs."), "the server hangs. See to it", "same command again"),
    "model": (raised_by(lambda: _Shape(size="wide")), "What was read is not as expected: size: Input", "Correct it"),
    "YAML": (raised_by(lambda: yaml.safe_load("[")), "A configuration file is not YAML: while parsing", "Correct it"),
    "number": (OverflowError("too large to convert"), "A number is too large: too large to convert.", "64 bits"),
    "nesting": (RecursionError(), "Something is nested too deeply to be read.", "Expected a plain file"),
    "memory": (MemoryError(), "There is not enough memory for this.", "Do less at once"),
    "scheme": (NotImplementedError("No URI support for scheme: 'x'"), "No URI support for scheme: 'x'. Expected", "s3"),
    "unknown": (
        ZeroDivisionError("division by zero"),
        "Unexpected ZeroDivisionError: division by zero. Give the command again with --log-level DEBUG",
        "report it",
    ),
    "unknown and silent": (StopIteration(), "Unexpected StopIteration: no reason was given.", "--log-level DEBUG"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_error_from_elsewhere_is_told_by_where_it_comes_from(case):
    error, begin, remedy = FOREIGN[case]
    message = message_of(error)
    assert message.startswith(begin), message
    assert remedy in message
    assert "\n" not in message
    assert "SELECT" not in message
    with pytest.raises(click.ClickException) as info, error_boundary():
        raise error
    assert (info.value.message, info.value.exit_code) == (message, 1)


def test_error_of_a_database_is_found_in_what_butler_made_of_it():
    inner = of_database(sqlalchemy.exc.OperationalError, sqlite_error("SQLITE_READONLY_DIRECTORY"))
    error = RuntimeError("Butler cannot")
    error.__cause__ = inner
    assert message_of(error).startswith("The database cannot be written to: its file or its folder is read-only")


@pytest.mark.parametrize("kind", [click.ClickException, click.UsageError, click.BadParameter])
def test_passwords_are_hidden_in_every_message(kind):
    with pytest.raises(click.ClickException) as info, error_boundary():
        raise kind("cannot read https://me:geheim@host/x")
    assert info.value.format_message().endswith("cannot read https://me:***@host/x")
    assert info.value.exit_code == kind.exit_code
    with pytest.raises(click.ClickException, match=r"me:\*\*\*@host"), error_boundary():
        raise ValueError("https://me:geheim@host")


def test_interrupt_is_said_and_has_its_own_status(capsys):
    with pytest.raises(click.exceptions.Exit) as info, error_boundary():
        raise KeyboardInterrupt
    assert info.value.exit_code == 130
    assert capsys.readouterr().err == "Interrupted. What was finished stays; give the same command again to go on.\n"


def test_end_of_a_pipe_is_left_to_click():
    with pytest.raises(BrokenPipeError), error_boundary():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_interrupt_while_a_command_is_loaded_is_no_abort(tmp_path):
    """A module that takes long to import stands for Butler's own, which take a second."""
    (tmp_path / "pyarrow.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    script = (
        "import sys, importlib.abc\n"
        "class Slow(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'spherex_butler.cli.verify':\n"
        "            import pyarrow\n"
        "sys.meta_path.insert(0, Slow())\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from spherex_butler.cli import main\n"
        "main(['verify', 'x'], prog_name='spherex-butler')\n"
    )
    command = [sys.executable, "-c", script]
    environment = {"PYTHONPATH": f"{tmp_path}:{SOURCE}", "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "loading\n"
    time.sleep(0.1)
    process.send_signal(2)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (
        130,
        "Interrupted. What was finished stays; give the same command again to go on.\n",
    )


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-m", "spherex_butler", "--log-level", "DEBUG"),
        (str(BUTLER), "--log-level", "DEBUG", "spherex"),
        (str(BUTLER), "spherex", "--log-level", "spherex_butler=DEBUG"),
    ],
)
def test_debug_level_shows_our_log_and_the_traceback_without_passwords(run_clean, tmp_path, command):
    repo, files = copy_repo(tmp_path / "repo"), copy_exposures(tmp_path / "files")
    said = run_clean(*command, "ingest", str(repo), str(files[0]), "foo://me:geheim@host/level2.fits", code=1)
    assert "spherex_butler.repository.opening DEBUG: opened" in said
    assert "spherex_butler.repository.registration DEBUG: registered 1 of 1 datasets, such as level2@" in said
    assert "geheim" not in said
    said = run_clean(*command, "verify", "foo://me:geheim@host", code=1)
    assert "Traceback (most recent call last)" in said
    assert "spherex_butler.errors.ConfigurationError" in said
    assert "geheim" not in said


@pytest.mark.parametrize("command", [(sys.executable, "-m", "spherex_butler"), (str(BUTLER), "spherex")])
def test_without_it_an_error_is_its_message_alone(run_clean, command):
    said = run_clean(*command, "verify", "nowhere", code=1)
    assert said.startswith("Error: There is no repository at 'nowhere'")
    assert said.count("\n") == 1
    assert run_clean(*command, "--version").startswith("spherex-butler, version ")


@pytest.mark.parametrize("command", [(sys.executable, "-m", "spherex_butler"), (str(BUTLER), "spherex")])
def test_warnings_of_a_report_are_said_once(tmp_path, command):
    invoke("ingest-archive", copy_repo(tmp_path / "repo"), M31)
    again = [*command, "ingest-archive", str(tmp_path / "repo"), str(M31), "--access", "aws"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(again, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "0 ingested, 6 already there, 0 failed\n"
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("6 images are there already, but elsewhere, such as ")


@pytest.mark.parametrize("name", ["spherex_butler.spectra.extraction", "urllib3.connectionpool"])
def test_warnings_that_the_command_tells_otherwise_are_not_logged(name):
    logger = logging.getLogger(name)
    assert logger.isEnabledFor(logging.WARNING)
    with logging_for_command(click.Context(click.Command("any"))):
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.isEnabledFor(logging.WARNING)


@pytest.fixture
def interruptible():
    """Have SIGINT interrupt, which a shell that runs the tests in the background has them ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_that_arrives_in_a_finalizer_still_interrupts(capsys):
    class Finalized:
        def __del__(self):
            raise KeyboardInterrupt

    before = sys.unraisablehook
    began = time.monotonic()

    def command():
        Finalized()
        time.sleep(30)

    with pytest.raises(click.exceptions.Exit) as info, error_boundary():
        command()
    assert info.value.exit_code == 130
    assert time.monotonic() - began < 29
    assert capsys.readouterr().err.startswith("Interrupted. ")
    assert sys.unraisablehook is before


def test_warnings_are_told_in_the_words_of_the_command_line(capsys):
    def worded(text):
        return text.replace("gains='qr3'", "--gains qr3")

    def warn():
        with warnings_told(worded):
            warnings.warn("Of others.", UserWarning, stacklevel=1)
            warnings.warn("Mixed; pass gains='qr3'.", SpherexButlerWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="others") as others:
        warn()
    assert len(others) == 1
    assert capsys.readouterr().err == "Warning: Mixed; pass --gains qr3.\n"

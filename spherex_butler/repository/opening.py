"""A repository opened, or why it cannot be: what its path has to look like, and what Butler's refusals mean."""

from __future__ import annotations

__all__ = ("open_butler", "open_repo", "open_to_remember", "require_plain_path")

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import ParseResult

import yaml
from lsst.daf.butler import Butler
from lsst.daf.butler.registry import RegistryDefaults
from lsst.resources import ResourcePath, ResourcePathExpression
from sqlalchemy.exc import DBAPIError

from ..constants import DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ConfigurationError, ParameterError, hide_secrets, reason_of
from ..files.waiting import is_silence
from .butler_internals import is_remote
from .configured import know_storage_classes
from .database_errors import concerns_credentials, explain_credentials_error, explain_database_error
from .failures import told_as_repository_failures
from .opened import datastore_root, require_spherex, require_writeable

_log = logging.getLogger(__name__)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_REWRITTEN = re.compile(r"%[0-9A-Fa-f]{2}|\$(?:\w|\{)|[?#]")
"""What lsst.resources reads as something else where a path is no URI: https://github.com/lsst/resources."""


_REFUSALS = (
    *(OSError, NotImplementedError, ImportError, LookupError, RuntimeError, ValueError, yaml.YAMLError),
    *(TypeError, AttributeError),  # of a configuration whose values are of other kinds than expected
)

_SERVER = (
    ", or the address that a Butler server has for one, with the token that it takes from you in the variable "
    "BUTLER_RUBIN_ACCESS_TOKEN"
)

_UNKNOWN = "Error while communicating with Butler server"
"""Begins all that a client is told if its server has no repository of that name: the reason is in the server's log."""

_KINDS: Mapping[type, str] = {yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}


@told_as_repository_failures()
def open_repo(
    root: ResourcePathExpression,
    *,
    writeable: bool = False,
    collections: str | Sequence[str] | None = None,
    run: str | None = None,
) -> Butler:
    """Open a SPHEREx repository, so that data IDs need no instrument and searches no collections.

    ``butler.get("level2", exposure=20255110106842, detector=3)`` gives the
    newest processing of an image, and ``butler.get("dark", …)`` the calibration
    that is valid for it.

    Parameters
    ----------
    root
        Its folder or URI, or its label in Butler's repository index.
    writeable
        Whether it will be changed.
    collections
        Collections to search, in this order; by default ``SPHEREx/defaults``,
        after ``run`` if that is given.
    run
        Run for the datasets that ``butler.put`` writes; made if it is new.

    Returns
    -------
    butler
        Searches ``collections`` where none are given, and takes ``SPHEREx`` for
        the instrument. Butler keeps such defaults in the process, not in the
        repository: one that ``Butler.from_config`` opened without
        ``collections=`` wants them at each call.

    Raises
    ------
    ConfigurationError
        Raised if there is no repository, it cannot be opened, or SPHEREx is not
        registered in it.
    ParameterError
        Raised if ``root`` is no path that Butler understands, or ``run`` is
        given for a repository that is not opened for writing.
    """
    if run is not None and not writeable:
        raise ParameterError(
            f"run={run!r} is for writing, and the repository is opened for reading; pass writeable=True."
        )
    if collections is None:
        collections = [DEFAULT_COLLECTION] if run is None else [run, DEFAULT_COLLECTION]
    butler = open_butler(root, writeable=writeable)
    try:
        require_spherex(butler)
        if not is_remote(butler):
            datastore_root(butler)
        butler.registry.defaults = RegistryDefaults(collections, run, instrument=INSTRUMENT)
    except BaseException:
        butler.close()
        raise
    return butler


def open_butler(root: ResourcePathExpression, *, writeable: bool = False, **options: Any) -> Butler:
    """Open a repository, and say what is wrong with one that cannot be opened.

    Parameters
    ----------
    root
        Its folder or URI, or its label in Butler's repository index.
    writeable
        Whether it will be changed.
    **options
        As of `lsst.daf.butler.Butler.from_config`, such as ``collections=``.

    Raises
    ------
    ConfigurationError
        Raised if there is no repository, it cannot be read, or cannot be written to though it should be.
    ParameterError
        Raised if the path is empty, is no path that Butler understands, or holds characters that it reads otherwise.
    """
    require_plain_path(root, "The path of the repository")
    place = hide_secrets(str(root))
    try:
        butler = Butler.from_config(_with_folder(root), writeable=writeable, **options)
    except DBAPIError as error:
        raise ConfigurationError(
            f"The repository {place!r} cannot be opened. {explain_database_error(error)}"
        ) from error
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no repository at {place!r}: {_first_sentence(error)}. Expected {_what_to_expect(place)}."
        ) from error
    except _REFUSALS as error:
        if concerns_credentials(error):
            message = f"The repository {place!r} cannot be opened. {explain_credentials_error(error)}"
            raise ConfigurationError(message) from error
        if place.startswith("http") and is_silence(error):
            raise ConfigurationError(
                f"The repository {place!r} cannot be opened: {reason_of(error)}. Expected a server that runs at this "
                "address, and a network that leads there."
            ) from error
        why = _configuration_problem(root, error) or _first_sentence(error)
        raise ConfigurationError(
            f"The repository {place!r} cannot be opened: {why}. "
            f"Expected the folder or URI of a Butler repository, or its butler.yaml{_hint(error, str(root))}."
        ) from error
    if is_remote(butler):
        know_storage_classes()
    if writeable:
        _require_writeable(butler, place)
    _log.debug("opened %s for %s, with %s", place, "writing" if writeable else "reading", butler.dimensions)
    return butler


def open_to_remember(root: ResourcePathExpression) -> Butler:
    """Open a repository for writing if this user may, else for reading: for work that leaves what it has learned.

    Raises
    ------
    ConfigurationError, ParameterError
        As of `open_butler`.
    """
    try:
        return open_butler(root, writeable=True)
    except ConfigurationError:
        return open_butler(root)


def _require_writeable(butler: Butler, place: str) -> None:
    try:
        require_writeable(butler, f"The repository {place!r}")
    except ConfigurationError:
        butler.close()
        raise


def require_plain_path(root: ResourcePathExpression, what: str) -> None:
    """Refuse a path that Butler, or lsst.resources for it, would take for another one.

    Parameters
    ----------
    root
        A path or URI.
    what
        Begins the message.

    Raises
    ------
    ParameterError
        Raised if it is no path or URI, empty, or a local path with ``%41``, ``$NAME``, ``?`` or ``#`` in it.
    """
    if not isinstance(root, str | os.PathLike | ResourcePath | ParseResult):
        raise ParameterError(f"{what} is {root!r}; expected a path or a URI.")
    text = os.fspath(root) if isinstance(root, str | os.PathLike) else str(root.geturl())
    if not text.strip():
        raise ParameterError(f"{what} is empty; expected a folder ('.' for the current one) or a URI.")
    path = _local_path(text)
    if path is not None and (found := _REWRITTEN.search(path)):
        raise ParameterError(
            f"{what} is {path!r}, in which Butler reads {found[0]!r} as something else than itself; expected a path "
            "without '%', '$', '?' and '#'. Use another folder, or a symbolic link to it."
        )


def _local_path(text: str) -> str | None:
    """Return the absolute path of a file that a path or URI stands for; `None` if it is not local."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return os.path.abspath(text)  # noqa: PTH100  (as lsst.resources does, without following links)
    if scheme[0].lower() != "file://" or _REWRITTEN.search(ResourcePath(text).ospath) is None:
        return None
    return ResourcePath(text).ospath


def _with_folder(root: ResourcePathExpression) -> ResourcePathExpression:
    """Return a root as a folder where Butler would take a dot in its name for the extension of a file."""
    if isinstance(root, str) and _SCHEME.match(root) and not root.endswith(("/", ".yaml", ".json")):
        return root if root.lower().startswith("file://") else f"{root}/"
    return root


def _first_sentence(error: BaseException) -> str:
    """Return what Butler says, without the aliases that it goes on with."""
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    return hide_secrets(" ".join(text.split()).partition(" (given ")[0].rstrip(". "))


def _configuration_problem(root: ResourcePathExpression, error: BaseException) -> str | None:
    """Return what is wrong with a local repository's ``butler.yaml``; `None` if that is not known."""
    path = _local_configuration(root)
    if path is None:
        return None
    if isinstance(error, RecursionError):
        return f"{str(path)!r} includes itself, or a file that includes it"
    if (found := _kind(path)) is not None:
        return f"{str(path)!r} is {found}; it has to hold keys with values"
    if isinstance(error, TypeError | AttributeError):
        return f"a value in {str(path)!r}, or in a file it includes, is of another kind than Butler expects: {error}"
    return None


def _local_configuration(root: ResourcePathExpression) -> Path | None:
    """Return where the ``butler.yaml`` of a local repository is, if it is there; not of one given by its label."""
    text = os.fspath(root) if isinstance(root, str | os.PathLike) else root.geturl()
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme[0].lower() != "file://":
        return None
    given = Path(text if scheme is None else ResourcePath(text).ospath)
    path = given / "butler.yaml" if given.is_dir() else given
    return path if path.is_file() else None


def _kind(path: Path) -> str | None:
    """Return what a file is that holds no mapping; `None` if it may hold one."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return "no text"
    except (OSError, yaml.YAMLError):  # which Butler has told
        return None
    return _KINDS.get(type(node))


def _what_to_expect(place: str) -> str:
    """Return what an address should be where nothing is: of a web server nobody makes a repository."""
    if place.startswith("http"):
        return (
            "the address of a repository, such as https://HOST/api/butler/repo/NAME if a Butler server has it; "
            "ask those who run that server"
        )
    return f"the folder or URI of one, with a butler.yaml; 'butler spherex create {place}' makes one"


def _hint(error: BaseException, root: str) -> str:
    if not isinstance(error, ImportError):
        return _server_hint(error) if root.startswith("http") and isinstance(error, RuntimeError) else ""
    extra = "s3" if root.startswith("s3:") else "remote" if root.startswith("http") else "all"
    return f", and what its address needs: pip install 'spherex-butler[{extra}]'"


def _server_hint(error: RuntimeError) -> str:
    if not str(error).startswith(_UNKNOWN):
        return _SERVER
    return f"{_SERVER}. Check the name at the end of the address; the server's log has the reason, by the request's ID"

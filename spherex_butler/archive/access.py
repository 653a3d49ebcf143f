"""Where the files of an archive table are read: the archive, its bucket, or a copy of its tree."""

from __future__ import annotations

__all__ = ("relocation",)

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

from lsst.daf.butler import Config

from ..errors import FormatError, ParameterError
from ..paths import config_uri

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FOLDER = re.compile(r"[\w.~:@+,=/-]*", re.ASCII)  # no ?, #, % or blank: a query, a fragment or an escape would begin
_FILES = ("http", "https", "s3")
_PREFIXES = ("file", *_FILES)


@cache
def _roots() -> Mapping[str, str]:
    """Return what the archive's tree lies under, by the name of the way to it."""
    config = Config(config_uri("repository/releases.yaml"))
    bucket = str(config["bucket"])
    name = bucket.partition("://")[2].partition(".")[0]
    return {"irsa": str(config["archive"]), "aws": bucket, "s3": f"s3://{name}/"}


def relocation(access: str) -> Callable[[str], str]:
    """Return a function that says where the files of a folder are read: it returns a URL with a slash at the end.

    ``access`` is as for `ingest_archive_table`. The function takes a folder that is absolute, relative to the
    archive's server as in ``spherex.artifact``, or relative to the archive's tree; other folders are a
    `FormatError`.
    """
    if access == "irsa":
        return lambda given: f"{_absolute(given)}/"
    if access == "aws":
        return partial(_moved, prefix=_roots()["aws"])
    scheme = _SCHEME.match(access)
    if scheme and scheme[1] in _PREFIXES and not re.search(r"[?#\s]", access):
        return partial(_moved, prefix=access.rstrip("/") + "/")
    folder = Path(access).absolute()
    if scheme or not access or not folder.is_dir():
        raise ParameterError(
            f"access={access!r} is neither 'irsa' nor 'aws' nor the place of a copy of the archive's tree; expected "
            f"an existing folder or a URL with one of {list(_PREFIXES)}."
        )
    return partial(_moved, prefix=folder.as_uri().rstrip("/") + "/")


def _moved(given: str, prefix: str) -> str:
    absolute = _absolute(given)
    for root in _roots().values():
        if absolute.startswith(root):
            return f"{prefix}{absolute.removeprefix(root)}/"
    raise FormatError(
        f"The address {given!r} is not in the archive's tree, under {_roots()['irsa']!r}; access='irsa' keeps it."
    )


def _absolute(given: str) -> str:
    scheme = _SCHEME.match(given)
    rest = given[scheme.end() :] if scheme else given
    if (scheme and scheme[1] not in _FILES) or not _FOLDER.fullmatch(rest) or ".." in rest.split("/"):
        raise FormatError(f"The address {given!r} is not a plain URL of a folder; expected http, https or s3.")
    if scheme:
        return given
    relative, archive = given.lstrip("/"), _roots()["irsa"]
    server, tree = re.fullmatch(r"(\w+://[^/]+/)(.*)", archive).groups()  # type: ignore[union-attr]  # is our own
    return f"{server}{relative}" if relative.startswith(tree) else f"{archive}{relative}"

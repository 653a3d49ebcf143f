"""Where the files of an archive table are read: the archive, its bucket, or a copy of its tree."""

from __future__ import annotations

__all__ = ("relocation",)

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from lsst.daf.butler import Config

from ..errors import FormatError, ParameterError, hide_secrets
from ..paths import config_uri

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FOLDER = re.compile(r"[\w.~:@+,=/-]*", re.ASCII)  # no ?, #, % or blank: a query, a fragment or an escape would begin
_FILES = ("http", "https", "s3")
_PREFIXES = ("file", *_FILES)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_HOST = re.compile(r"[\w.-]+(:\d{1,5})?", re.ASCII)


@cache
def _roots() -> Mapping[str, str]:
    """Return what the archive's tree lies under, by the name of the way to it."""
    config = Config(config_uri("repository/releases.yaml"))
    bucket = str(config["bucket"])
    name = bucket.partition("://")[2].partition(".")[0]
    return {"irsa": str(config["archive"]), "aws": bucket, "s3": f"s3://{name}/"}


def relocation(access: str, allow_hosts: Iterable[str] = ()) -> Callable[[str], str]:
    """Return a function that says where the files of a folder are read: it returns a URL with a slash at the end.

    ``access`` and ``allow_hosts`` are as for `ingest_archive_table`. The function takes a folder that is absolute,
    relative to the archive's server as in ``spherex.artifact``, or relative to the archive's tree; other folders are
    a `FormatError`.
    """
    hosts = frozenset(map(_allowed_host, allow_hosts))
    if access == "irsa":
        return partial(_kept, hosts=hosts)
    if hosts:
        raise ParameterError(
            f"allow_hosts is for access='irsa', by which images are read at the addresses in the table; access is "
            f"{hide_secrets(access)!r}, where all of them are read."
        )
    if access == "aws":
        return partial(_moved, prefix=_roots()["aws"])
    scheme = _SCHEME.match(access)
    if scheme and scheme[1] in _PREFIXES and not re.search(r"[?#\s]", access):
        _require_no_password(access, "access")
        return partial(_moved, prefix=access.rstrip("/") + "/")
    folder = Path(access).absolute()
    if scheme or not access or not folder.is_dir():
        raise ParameterError(
            f"access={access!r} is neither 'irsa' nor 'aws' nor the place of a copy of the archive's tree; expected "
            f"an existing folder or a URL with one of {list(_PREFIXES)}."
        )
    return partial(_moved, prefix=folder.as_uri().rstrip("/") + "/")


def _allowed_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise ParameterError(
            f"{hide_secrets(host)!r} is not a host; expected one such as 'mirror.example.org', or with a port "
            "'mirror.example.org:8443'."
        )
    return host.lower()


def _require_no_password(address: str, name: str) -> None:
    if "@" in urlsplit(address).netloc:
        raise ParameterError(
            f"{name}={hide_secrets(address)!r} holds a user, which would be readable in the repository; leave it out."
        )


def _kept(given: str, hosts: frozenset[str]) -> str:
    """Return the address of a folder, if it is on the archive's own hosts or on one that was allowed."""
    absolute = _absolute(given)
    scheme, rest = absolute.split("://", 1)
    host = rest.partition("/")[0]
    known = _own_hosts()[scheme]
    if host.removesuffix(_DEFAULT_PORTS.get(scheme, "")) not in known | hosts:
        raise FormatError(
            f"The address {given!r} is on the host {host!r}, which is not the archive's ({', '.join(sorted(known))}). "
            f"If you trust this table, allow the host (--allow-host {host}, in Python allow_hosts=[{host!r}])."
        )
    return f"{absolute}/"


@cache
def _own_hosts() -> Mapping[str, frozenset[str]]:
    """Return the hosts that are the archive's, by scheme; of S3, the bucket."""
    web = frozenset(urlsplit(_roots()[name]).netloc for name in ("irsa", "aws"))
    return {"https": web, "http": web, "s3": frozenset({urlsplit(_roots()["s3"]).netloc})}


def _moved(given: str, prefix: str) -> str:
    absolute = _absolute(given)
    for root in _roots().values():
        if absolute.startswith(root):
            return f"{prefix}{absolute.removeprefix(root)}/"
    raise FormatError(
        f"The address {given!r} is not in the archive's tree, under {_roots()['irsa']!r}; expected one that is, as "
        "images are read in a copy of that tree."
    )


def _absolute(given: str) -> str:
    """Return the absolute address of a folder, its scheme and host in lower case."""
    scheme = _SCHEME.match(given)
    rest = given[scheme.end() :] if scheme else given
    if (scheme and scheme[1].lower() not in _FILES) or not _FOLDER.fullmatch(rest) or ".." in rest.split("/"):
        raise FormatError(
            f"The address {hide_secrets(given)!r} is not a plain URL of a folder; expected http, https or s3."
        )
    if scheme:
        host, slash, path = rest.partition("/")
        if "@" in host or not host:
            raise FormatError(
                f"The address {hide_secrets(given)!r} holds a user or password, or no host; expected neither of the "
                "first in an archive table: they would be readable in the repository."
            )
        return f"{scheme[1].lower()}://{host.lower()}{slash}{path}"
    relative, archive = given.lstrip("/"), _roots()["irsa"]
    server, tree = re.fullmatch(r"(\w+://[^/]+/)(.*)", archive).groups()  # type: ignore[union-attr]  # is our own
    return f"{server}{relative}" if relative.startswith(tree) else f"{archive}{relative}"

"""A server for a repository, until it is interrupted."""

from __future__ import annotations

__all__ = ("listening_socket", "serve")

import errno
import socket
from collections.abc import Callable

import uvicorn
from lsst.daf.butler import Butler

from ..errors import ConfigurationError, ParameterError
from .application import MOST_ROWS, application


def serve(
    butler: Butler,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    collections: str | list[str] | None = None,
    most: int = MOST_ROWS,
    repo: str = "REPO",
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve a repository until the process is interrupted or terminated.

    Parameters
    ----------
    butler
        A SPHEREx repository, which is only read.
    host, port
        Where to listen. By default nobody but users of this machine can ask; there are no passwords. Port 0 is any that
        is free.
    collections
        Where to search; by default `SPHEREx/defaults`.
    most
        How many rows an answer has at most, unless a query's ``MAXREC`` says.
    repo
        What commands on the report's page call the repository.
    started
        Called with the server's address when it listens.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository, or the port is taken or not for this user.
    ParameterError
        Raised if this machine does not have the host's address, or there is no such collection.
    """
    app = application(butler, collections=collections, most=most, repo=repo)
    with listening_socket(host, port) as listening:
        if started is not None:
            name = f"[{host}]" if ":" in host else host
            started(f"http://{name}:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        server.run(sockets=[listening])


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or say why there can be none."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {port} of {host} is taken by another program; give another port, or 0 for any that is free."
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigurationError(
                f"Port {port} of {host} is not for this user; give one from 1024 on, or 0 for any that is free."
            ) from error
        raise ParameterError(
            f"{host!r} is no address of this machine ({error.strerror or error}); expected one such as 127.0.0.1."
        ) from error

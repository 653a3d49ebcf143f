"""Leads the archive's hosts to the stand-ins of the tests, and refuses all others; Python imports this by itself.

`stand_ins` puts this folder on ``PYTHONPATH`` and names the hosts in
``SPHEREX_BUTLER_STAND_INS``, as in ``irsa.ipac.caltech.edu=127.0.0.1:8443``.
All of Python's clients (requests, aiohttp, urllib) ask `socket.getaddrinfo`
where a host is, and connect to what it answers.
"""

from __future__ import annotations

import os
import socket
from typing import Any

_VARIABLE = "SPHEREX_BUTLER_STAND_INS"
_LOOPBACK = {"127.0.0.1", "::1", "localhost", None}
_look_up = socket.getaddrinfo


def _stand_in(host: Any, port: Any, *others: Any, **options: Any) -> Any:
    """Answer as `socket.getaddrinfo`, with the address of a stand-in."""
    hosts = dict(pair.split("=") for pair in os.environ.get(_VARIABLE, "").split(",") if pair)
    name = host.decode() if isinstance(host, bytes) else host
    if name in hosts:
        host, _, port = hosts[name].partition(":")
    elif name not in _LOOPBACK:
        raise socket.gaierror(socket.EAI_NONAME, f"{name} has no stand-in, and tests ask no other host")
    return _look_up(host, port, *others, **options)


socket.getaddrinfo = _stand_in

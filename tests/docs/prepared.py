"""Commands in processes that begin with Butler imported, for shells: `forked` does the same for scripts of tests.

A new interpreter takes nearly two seconds to import Butler and the commands. So
the ``butler`` that shells find here, as every name of `PROGRAMS`, is a client
of a process that has done that. For each client it forks one, which takes the
client's streams, arguments, environment and folder, and runs the command.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from sqlite_sync import sqlite_without_sync

PROGRAMS = {
    "butler": ("lsst.daf.butler.cli.butler", "main"),
    "spherex-butler": ("spherex_butler.cli", "main"),
    "pipetask": ("lsst.ctrl.mpexec.cli.pipetask", "main"),
    "page-session": ("page_session", "main"),
}
_IMPORTED = (
    "astropy.nddata",
    "lsst.pipe.base.cli.cmd",
    "spherex_butler.archive",
    "spherex_butler.export",
    "spherex_butler.ingest",
    "spherex_butler.plot.spectra",
    "spherex_butler.tasks.forced_photometry",
)

_CLIENT = """
import json, os, socket, sys
address, *command = sys.argv[1:]
message = json.dumps([command, os.getcwd(), dict(os.environ)]).encode() + b"\\n"
with socket.socket(socket.AF_UNIX) as server:
    server.connect(address)
    socket.send_fds(server, [message[:1]], [0, 1, 2])
    server.sendall(message[1:])
    status = int(server.makefile().readline())
sys.exit(status)
"""


@contextlib.contextmanager
def prepared_programs(**environment: str) -> Iterator[Path]:
    """Return a folder, for PATH, with programs that start at once; the environment is what the imports see."""
    with TemporaryDirectory(prefix="programs-") as name:
        folder = Path(name)
        for program in PROGRAMS:
            command = [sys.executable, "-S", "-E", "-c", _CLIENT, f"{folder}/socket", program]
            (folder / program).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            (folder / program).chmod(0o755)
        command = [sys.executable, __file__, f"{folder}/socket"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | environment
        ) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield folder  # and its standard input is closed, which ends it


def serve(address: str) -> None:
    """Fork a process for each client, until the standard input is closed."""
    for module in [*_IMPORTED, *(module for module, _ in PROGRAMS.values())]:
        importlib.import_module(module)
    with sqlite_without_sync(), socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [], 1.0)[0]):
            if ready:
                connection, _ = listening.accept()
                if os.fork() == 0:
                    listening.close()
                    _attend(connection)
                connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _attend(connection: socket.socket) -> NoReturn:
    """Run what a client asks for, in a process of its own, and tell it the exit status."""
    message, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as rest:
        command, folder, environment = json.loads(message + rest.readline())
    running = os.fork()
    if running == 0:
        connection.close()
        _run(command, folder, environment, streams)
    for stream in streams:
        os.close(stream)
    while not (ended := os.waitpid(running, os.WNOHANG))[0]:
        if select.select([connection], [], [], 0.01)[0]:  # the client is gone
            os.kill(running, signal.SIGKILL)
            os._exit(1)
    status = os.waitstatus_to_exitcode(ended[1])
    connection.sendall(f"{status if status >= 0 else 128 - status}\n".encode())
    os._exit(0)


def _run(command: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> NoReturn:
    """Run a program as a new interpreter would."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
        sys.argv = command
        module, function = PROGRAMS[command[0]]
        getattr(importlib.import_module(module), function)()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
    finally:
        _end(status)


def _end(status: int) -> NoReturn:
    """End this process as an interpreter does, but for what its parent has on its stack."""
    import atexit

    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])

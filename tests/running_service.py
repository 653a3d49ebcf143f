"""A server of a repository in a process of its own, as the command starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import spherex_butler

SOURCE = Path(spherex_butler.__file__).parents[1]


@contextmanager
def running_service(repo: Path, *options: str) -> Iterator[str]:
    """Run ``butler spherex serve``; yield the address of its SIA service."""
    command = [sys.executable, "-m", "spherex_butler", "serve", str(repo), "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            assert "Serving" in line, process.communicate(timeout=60)[1]
            yield next(word for word in line.split() if word.startswith("http")).rstrip(";")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0, process.stderr.read()

"""What a reader of a page does, from its top to its bottom, in a shell and a Python session in one folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import traceback
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

import yaml
from page_blocks import SOURCE, Block

SHELLS = {"sh", "bash", "shell"}
_TIMEOUT = 120.0  # seconds, of a block


class Reader:
    """Somebody who follows a page.

    The shell stops at the first command that fails (``set -e``). Python is
    started by the first Python block, with the environment of the shell at
    that time; a warning is an error in it.

    Parameters
    ----------
    folder
        Where the reader works.
    environment
        Environment variables of the shell.
    notes
        Folder for what the reader must not see.
    """

    def __init__(self, folder: Path, environment: dict[str, str], notes: Path) -> None:
        self._folder, self._notes = folder, notes
        self._printed = notes / "printed"
        self._sessions = contextlib.ExitStack()
        self._python: subprocess.Popen[str] | None = None
        self._shell = self._start(["bash", "-e", "-o", "pipefail"], folder, environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sessions.close()

    def follow(self, block: Block) -> None:
        """Do what a block is for; an `AssertionError` says what did not work."""
        if block.language == "text":
            self._compare(block)
        elif block.file:
            self._save(block, block.file)
        elif block.language in SHELLS:
            self._type_into_shell(block)
        else:
            assert block.language == "python", f"{block.place}: {block.language!r} names no file in its first line"
            self._type_into_python(block)

    def _start(self, command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
        session = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self._sessions.callback(_stop, session)
        return session

    def _type_into_shell(self, block: Block) -> None:
        script = self._notes / Path(block.page).name
        script.write_text(block.numbered_code, encoding="utf-8")
        typed = f". '{script}' </dev/null >'{self._printed}' 2>&1\necho done\n"
        self._require_done(self._shell, typed, block)

    def _type_into_python(self, block: Block) -> None:
        if self._python is None:
            found = self._notes / "environment"
            self._require_done(self._shell, f"env -0 >'{found}'; pwd >'{found}.folder'\necho done\n", block)
            variables = dict(entry.split("=", 1) for entry in found.read_text().split("\0") if entry)
            folder = Path(found.with_suffix(".folder").read_text().removesuffix("\n"))
            self._python = self._start(["page-session"], folder, variables)
        typed = json.dumps([str(SOURCE / block.page), block.numbered_code, str(self._printed)])
        self._require_done(self._python, f"{typed}\n", block)

    def _require_done(self, session: subprocess.Popen[str], typed: str, block: Block) -> None:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(typed)
        session.stdin.flush()
        ready, _, _ = select.select([session.stdout], [], [], _TIMEOUT)
        printed = self._printed.read_text(encoding="utf-8") if self._printed.exists() else ""
        assert ready, f"{block.place} still runs after {_TIMEOUT:g} s, having printed:\n{printed}"
        assert session.stdout.readline() == "done\n", f"{block.place} failed:\n{printed}"

    def _save(self, block: Block, name: str) -> None:
        path = self._folder / name
        if not block.changes_file:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
            return
        assert path.exists(), f"{block.place}: there is no {name} to be changed"
        merged = _merged(yaml.safe_load(path.read_text(encoding="utf-8")), yaml.safe_load(block.code))
        path.write_text(yaml.safe_dump(merged), encoding="utf-8")

    def _compare(self, block: Block) -> None:
        printed = "\n".join(map(str.rstrip, self._printed.read_text(encoding="utf-8").splitlines()))
        shown = block.code.rstrip("\n")
        pattern = ".*".join(map(re.escape, shown.split("…")))
        assert re.fullmatch(pattern, printed, re.DOTALL), f"{block.place} shows\n{shown}\nbut printed is\n{printed}"


def _stop(session: subprocess.Popen[str]) -> None:
    """End a session: it has nothing more to read."""
    with session:
        assert session.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended
            session.stdin.close()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                session.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing that it started is left
                os.killpg(session.pid, 9)


def _merged(old: Any, new: Any) -> Any:
    """Return a value of a YAML file with that of a page in it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old.get(key), value) for key, value in new.items()}
    return new


def main() -> None:
    """Run blocks of Python, one a line of the standard input, and say after each that it is done."""
    session = types.ModuleType("__main__")
    sys.modules["__main__"] = session
    sys.path.insert(0, "")
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)  # as by default: a reader need not close what ends with the page
    with os.fdopen(os.dup(0)) as blocks, os.fdopen(os.dup(1), "w") as answers:
        for line in blocks:
            page, code, printed = json.loads(line)
            with Path(printed).open("w", encoding="utf-8") as file, _printing_to(file):
                try:
                    exec(compile(code, page, "exec"), session.__dict__)
                except BaseException:  # noqa: BLE001 - whatever it is, the reader sees it
                    traceback.print_exc()
                    return
            answers.write("done\n")
            answers.flush()


@contextlib.contextmanager
def _printing_to(file: IO[str]) -> Iterator[None]:
    """Send both streams of the process to a file, also what libraries in C print."""
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()

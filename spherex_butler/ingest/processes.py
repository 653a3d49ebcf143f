"""Other processes: readers of headers, generators that run some items ahead, and how a process ends with this one."""

from __future__ import annotations

__all__ = ("START_METHOD", "ReadingProcesses", "follow_parent", "in_another_process")

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, Final, Self, TypeVar

from ..errors import ConfigurationError
from ..files.failures import FailedFile

START_METHOD: Final = "forkserver"
"""How processes are started: not by fork, which copies threads and connections in whatever state they are."""

_AHEAD = 3
_Item = TypeVar("_Item")
_Option = TypeVar("_Option")

_running: list[Iterator[Any]] = []
"""In the other process: the generator, once it has begun."""


class ReadingProcesses:
    """Processes that read files for this one: a file that one of them dies of is that file's failure.

    A C library that crashes and a system short of memory end a process without a word. All chunks of files that the
    processes had then are read again, file by file.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = _process_pool(processes)
        self._single: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._pool, self._single):
            if pool is not None:
                pool.shutdown(cancel_futures=True)

    def submit(
        self, read: Callable[[list[str], _Option], list[_Item]], uris: list[str], option: _Option
    ) -> Callable[[], list[_Item | FailedFile]]:
        """Begin to read files, and return a function that waits for the result."""
        try:
            future = self._pool.submit(read, uris, option)
        except BrokenProcessPool:
            self._pool = _process_pool(self._processes)
            future = self._pool.submit(read, uris, option)

        def result() -> list[_Item | FailedFile]:
            try:
                return [*future.result()]
            except BrokenProcessPool:
                return [item for uri in uris for item in self._read_alone(read, uri, option)]

        return result

    def _read_alone(
        self, read: Callable[[list[str], _Option], list[_Item]], uri: str, option: _Option
    ) -> list[_Item | FailedFile]:
        self._single = self._single or _started_pool()
        try:
            return [*self._single.submit(read, [uri], option).result()]
        except BrokenProcessPool:
            self._single = None
            reason = "the process that read its header was ended by the system or by a crash; was the memory full?"
            return [FailedFile(uri, reason)]


def _started_pool() -> ProcessPoolExecutor:
    """Return a process that works: one that cannot even start is no file's fault."""
    pool = _process_pool(1)
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        raise ConfigurationError(
            "Other processes cannot be started. A script that asks for them needs the guard "
            "'if __name__ == \"__main__\":'; processes=1 does without."
        ) from error
    return pool


def _process_pool(processes: int) -> ProcessPoolExecutor:
    """Return processes that leave interrupts to this one, and end when it ends, also by a kill."""
    return ProcessPoolExecutor(processes, mp_context=get_context(START_METHOD), initializer=follow_parent)


def follow_parent() -> None:
    """Leave interrupts to the process that started this one, and end when it ends, also by a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(process: Any) -> None:
    process.join()
    os._exit(1)


def in_another_process(function: Callable[..., Iterator[_Item]], *arguments: Any) -> Iterator[_Item]:
    """Yield what a generator function yields, which runs in another process.

    The function is one of a module; its items are pickled between the processes, and never `None`.
    """
    with _process_pool(1) as pool:
        waiting = deque(pool.submit(_next, function, arguments) for _ in range(_AHEAD))
        try:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(_next, function, arguments))
                yield item
        except BrokenProcessPool as error:
            raise ConfigurationError(
                "The process that reads ahead was ended by the system or by a crash; was the memory full? What was "
                "done before stays; the same call goes on with the rest, and processes=1 reads in this process."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _next(function: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> Any:
    if not _running:
        _running.append(function(*arguments))
    return next(_running[0], None)

"""Other processes: readers of headers, and generators that run some items ahead."""

from __future__ import annotations

__all__ = ("in_another_process", "process_pool")

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

_AHEAD = 3
_Item = TypeVar("_Item")

_running: list[Iterator[Any]] = []
"""In the other process: the generator, once it has begun."""


def process_pool(processes: int) -> ProcessPoolExecutor:
    """Return processes that leave interrupts to this one, and end when it ends, also by a kill."""
    # Not by fork, which copies threads and connections of this process in whatever state they are.
    return ProcessPoolExecutor(processes, mp_context=get_context("forkserver"), initializer=_begin)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(process: Any) -> None:
    process.join()
    os._exit(1)


def in_another_process(function: Callable[..., Iterator[_Item]], *arguments: Any) -> Iterator[_Item]:
    """Yield what a generator function yields, which runs in another process.

    The function is one of a module; its items are pickled between the processes, and never `None`.
    """
    with process_pool(1) as pool:
        waiting = deque(pool.submit(_next, function, arguments) for _ in range(_AHEAD))
        try:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(_next, function, arguments))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)


def _next(function: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> Any:
    if not _running:
        _running.append(function(*arguments))
    return next(_running[0], None)

"""Generators that run in a process of their own, some items ahead."""

from __future__ import annotations

__all__ = ("in_another_process",)

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

_AHEAD = 3
_Item = TypeVar("_Item")

_running: list[Iterator[Any]] = []
"""In the other process: the generator, once it has begun."""


def in_another_process(function: Callable[..., Iterator[_Item]], *arguments: Any) -> Iterator[_Item]:
    """Yield what a generator function yields, which runs in another process.

    Parameters
    ----------
    function
        A generator function of a module; its items are pickled between the processes, and never `None`.
    arguments
        What it is called with.
    """
    # Not by fork, which copies threads and connections of this process in whatever state they are.
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
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

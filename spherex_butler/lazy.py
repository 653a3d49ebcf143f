"""What a package shows of itself: its public names alone, and some that are loaded when they are first used."""

from __future__ import annotations

__all__ = ("lazy_names", "public_names")

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package (PEP 562), whose names are loaded from ``modules``."""

    def load(name: str) -> Any:
        if name not in modules:
            public = ", ".join(sys.modules[package].__all__)
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {public}")
        value = getattr(importlib.import_module(f".{modules[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, public_names(package)


def public_names(package: str) -> Callable[[], list[str]]:
    """Return ``__dir__`` of a package, which lists the names in its ``__all__`` and no others."""
    return lambda: sorted(sys.modules[package].__all__)

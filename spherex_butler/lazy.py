"""What a package shows of itself: its public names, some of which are loaded on first use, and what else it needs."""

from __future__ import annotations

__all__ = ("lazy_names", "public_names", "require_extra")

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


def require_extra(module: str, extra: str, what: str) -> None:
    """Import a module that an extra of this package brings, so that its absence is told in words.

    Raises
    ------
    ModuleNotFoundError
        Raised if it is not installed; the message begins with ``what`` needs it, and names the extra.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # it is there, and lacks something itself
        raise ModuleNotFoundError(
            f"{what} need {module}, which is not installed: pip install 'spherex-butler[{extra}]'.", name=module
        ) from error

"""Attributes that follow from the rest of an object unless they are assigned."""

from __future__ import annotations

__all__ = ("DERIVED", "Default", "Derived")

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class Default(Enum):
    """What a parameter is that was not given, where `None` means something else."""

    DERIVED = "derived"


DERIVED: Final = Default.DERIVED
"""Says that an attribute is to follow from the others."""


class Derived(Generic[Value]):
    """An attribute that ``derive`` computes on first use, unless a value was assigned, which ``check`` converts.

    An assigned value is kept where `~astropy.nddata.NDData` looks for it,
    under the attribute's name after an underscore.  `None` counts as assigned;
    ``del`` takes the assigned value away.
    """

    def __init__(self, derive: Callable[[Any], Value], check: Callable[[Any, Any], Value]) -> None:
        self._derive = derive
        self._check = check
        self.__doc__ = derive.__doc__

    @classmethod
    def checked(cls, check: Callable[[Any, Any], Value]) -> Callable[[Callable[[Any], Value]], Derived[Value]]:
        """Return a decorator that makes an attribute of the function that computes it."""
        return lambda derive: Derived(derive, check)

    def __set_name__(self, owner: type, name: str) -> None:
        self._assigned, self._kept = f"_{name}", f"_derived_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        values = vars(instance)
        if self._assigned not in values and self._kept not in values:
            self.keep(instance, self._derive(instance))
        value: Value = values[self._assigned if self._assigned in values else self._kept]
        return value

    def __set__(self, instance: object, value: Any) -> None:
        vars(instance)[self._assigned] = self._check(instance, value)

    def __delete__(self, instance: object) -> None:
        vars(instance).pop(self._assigned, None)

    def assigned(self, instance: object) -> Value | Default:
        """Return what was assigned, or `DERIVED`."""
        value: Value | Default = vars(instance).get(self._assigned, DERIVED)
        return value

    def keep(self, instance: object, value: Value) -> None:
        """Keep a value that was computed elsewhere, so that it is not computed again."""
        vars(instance)[self._kept] = value

    def forget(self, instance: object) -> None:
        """Compute the value anew when it is next used."""
        vars(instance).pop(self._kept, None)

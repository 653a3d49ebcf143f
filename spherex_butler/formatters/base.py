"""The base of every formatter here: components from a table, checked parameters, and named write recipes.

A formatter for a format of your own can be a subclass of `BaseFormatter`, with
a few class attributes and a method that writes; for FITS files there is
`spherex_butler.formatters.fits.FITSFormatter`.
"""

from __future__ import annotations

__all__ = ("BaseFormatter", "Reader")

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from lsst.daf.butler import FormatterV2
from lsst.daf.butler.datastore.cache_manager import AbstractDatastoreCacheManager

from ..errors import ConfigurationError, ParameterError
from ..files.waiting import limit_waits

Reader = Callable[[Any, Mapping[str, Any]], Any]
"""What reads a dataset or a component, from an open file and the parameters of the ``get``."""


class BaseFormatter(FormatterV2):
    """A formatter that reads each part of a dataset as a table of functions says.

    A subclass gives ``default_extension``, `readers` and `parameters`, and a
    method that writes: ``write_local_file`` or ``to_bytes``.  `open_file` may
    open a file as something more convenient than a stream.  Butler itself
    checks types, writes a file whole or not at all, fetches remote ones, and
    adds dataset and path to errors.
    """

    can_read_from_local_file: ClassVar[bool] = True
    supported_write_parameters: ClassVar[AbstractSet[str] | None] = frozenset({"recipe"})

    readers: ClassVar[Mapping[str | None, Reader]]
    """How the dataset (`None`) and each component, by name, is read."""

    parameters: ClassVar[AbstractSet[str]] = frozenset()
    """The read parameters that the readers understand."""

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}}
    """Ways of writing, by name: each a mapping of options.

    A write parameter ``recipe`` in a datastore's configuration names the one
    to use, and ``write_recipes`` there adds to these or replaces them.  Every
    option has to be in one of these.
    """

    default_recipe: ClassVar[str] = "default"
    """The recipe used where no write parameter names another."""

    @classmethod
    def validate_write_recipes(cls, recipes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the built-in recipes updated with the configured ones.

        Raises
        ------
        ConfigurationError
            Raised if a configured recipe has an option this formatter lacks.
        """
        configured = {name: dict(recipe or {}) for name, recipe in (recipes or {}).items()}
        options = {option for recipe in cls.recipes.values() for option in recipe}
        for name, recipe in configured.items():
            if unknown := sorted(set(recipe) - options):
                raise ConfigurationError(
                    f"Write recipe {name!r} of {cls.__name__} has unknown options {unknown}; "
                    f"expected {sorted(options)}."
                )
        return {**cls.recipes, **configured}

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The options of the recipe that the write parameters name.

        Raises
        ------
        ConfigurationError
            Raised if there is no recipe of that name.
        """
        name = self.write_parameters.get("recipe", self.default_recipe)
        recipe: Mapping[str, Any] | None = self.write_recipes.get(name)
        if recipe is None:
            raise ConfigurationError(
                f"{type(self).__name__} has no write recipe {name!r}; known ones are {sorted(self.write_recipes)}."
            )
        return recipe

    @property
    def read_parameters(self) -> Mapping[str, Any]:
        """The parameters of this ``get``; a parameter given as `None` counts as absent."""
        given = self.file_descriptor.parameters or {}
        return {name: value for name, value in given.items() if value is not None}

    def open_file(self, path: str) -> AbstractContextManager[Any]:
        """Open a local file, as what the `readers` take: a binary stream unless a subclass says otherwise."""
        return Path(path).open("rb")

    def read(
        self,
        component: str | None = None,
        expected_size: int = -1,
        cache_manager: AbstractDatastoreCacheManager | None = None,
    ) -> Any:
        """Return the dataset or a component, as Butler asks for it, and wait for a server no longer than we do."""
        limit_waits(self.file_descriptor.location.uri)
        return super().read(component, expected_size, cache_manager)

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Return the dataset or a component, read from a local file."""
        with self.open_file(path) as file:
            return self.read_part(file, component)

    def read_part(self, file: Any, component: str | None) -> Any:
        """Return the dataset or a component, read from an open file.

        Raises
        ------
        ParameterError
            Raised if the component or a parameter is unknown.
        """
        reader = self.readers.get(component)
        if reader is None:
            known = sorted(filter(None, self.readers))
            raise ParameterError(f"{type(self).__name__} has no component {component!r}; expected one of {known}.")
        parameters = self.read_parameters
        if unknown := sorted(set(parameters) - self.parameters):
            raise ParameterError(
                f"{type(self).__name__} has no parameters {unknown}; expected some of {sorted(self.parameters)}."
            )
        return reader(file, parameters)

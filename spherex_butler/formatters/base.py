"""What every formatter here shares: named write recipes and checked parameters."""

from __future__ import annotations

__all__ = ("RecipeFormatter",)

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from lsst.daf.butler import FormatterV2

from ..errors import ConfigurationError


class RecipeFormatter(FormatterV2):
    """A formatter whose way of writing is chosen by the name of a recipe.

    A recipe is a small mapping of options.  Each formatter brings its own
    (``recipes``), so that one imported directly works without configuration;
    ``write_recipes`` in a datastore configuration adds to them or replaces
    them.  The write parameter ``recipe`` names the one to use.
    """

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]]
    """The recipes that need no configuration, by name."""

    default_recipe: ClassVar[str]
    """The recipe used where no write parameter names another."""

    supported_write_parameters: ClassVar[AbstractSet[str] | None] = frozenset({"recipe"})

    @classmethod
    def validate_write_recipes(cls, recipes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the built-in recipes updated with the configured ones.

        Raises
        ------
        ConfigurationError
            Raised if a configured recipe has an option this formatter lacks.
        """
        options = sorted({option for recipe in cls.recipes.values() for option in recipe})
        for name, recipe in (recipes or {}).items():
            unknown = sorted(set(recipe or {}) - set(options))
            if unknown:
                raise ConfigurationError(
                    f"Write recipe {name!r} of {cls.__name__} has unknown options {unknown}; expected {options}."
                )
        return {**cls.recipes, **{name: dict(recipe or {}) for name, recipe in (recipes or {}).items()}}

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The options of the recipe that the write parameters name.

        Raises
        ------
        ConfigurationError
            Raised if there is no recipe of that name.
        """
        name = self.write_parameters.get("recipe", self.default_recipe)
        try:
            recipe: Mapping[str, Any] = self.write_recipes[name]
        except KeyError:
            raise ConfigurationError(
                f"{type(self).__name__} has no write recipe {name!r}; known ones are {sorted(self.write_recipes)}."
            ) from None
        return recipe

    @property
    def read_parameters(self) -> Mapping[str, Any]:
        """The parameters of this ``get``; a parameter given as `None` counts as absent."""
        given = self.file_descriptor.parameters or {}
        return {name: value for name, value in given.items() if value is not None}

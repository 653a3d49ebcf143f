"""Stamps of targets from SPHEREx images, in order of wavelength."""

from .repository import add_targets, make_repository
from .stamps import StampStack

__all__ = ("StampStack", "add_targets", "make_repository")

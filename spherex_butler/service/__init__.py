"""A repository over HTTP: the Simple Image Access protocol, and the files of images.

Imports `..obscore`, `..repository` and what those import.
"""

__all__ = ("application", "serve")

from ..lazy import public_names
from .application import application
from .running import serve

__dir__ = public_names(__name__)

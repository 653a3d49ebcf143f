"""A page that shows what a repository holds, for a browser: one file that needs nothing but itself.

Imports `..search`, `..calibrations`, `..verify` and what those import. `..service` shows it as well.
"""

__all__ = ("report_page", "write_report")

from ..lazy import public_names
from .writing import report_page, write_report

__dir__ = public_names(__name__)

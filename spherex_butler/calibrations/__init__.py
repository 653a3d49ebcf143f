"""Calibrations: ingested, certified for the times when they are valid, looked up for images, and traced in headers.

Imports `..repository` and what that imports.
"""

__all__ = (
    "Certification",
    "CertificationReport",
    "DecertificationReport",
    "Explanation",
    "Found",
    "Rule",
    "UsedCalibration",
    "calibration_for",
    "calibrations_at",
    "calibrations_used",
    "certifications",
    "certify",
    "decertify",
    "explain",
    "ingest_calibrations",
)

from ..lazy import public_names
from .history import Found, UsedCalibration, calibrations_used
from .ingest import ingest_calibrations
from .lookup import Explanation, calibration_for, explain
from .queries import calibrations_at, certifications
from .ranges import Certification, Rule
from .reports import CertificationReport, DecertificationReport
from .validity import certify, decertify

__dir__ = public_names(__name__)

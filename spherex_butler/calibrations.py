"""Calibrations: brought in, certified for the times they are valid, looked up for images, and traced in headers."""

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

from .calibration_history import Found, UsedCalibration, calibrations_used
from .calibration_ingest import ingest_calibrations
from .calibration_lookup import Explanation, calibration_for, explain
from .certifications import calibrations_at, certifications
from .validity import certify, decertify
from .validity_ranges import Certification, Rule
from .validity_reports import CertificationReport, DecertificationReport

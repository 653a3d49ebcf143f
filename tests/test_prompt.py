"""What a user sees at a prompt: public names alone, and reports in one line."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType

import pytest
from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, DimensionUniverse, Timespan

import spherex_butler
from spherex_butler.archive.tables import ArchiveSummary
from spherex_butler.calibrations.lookup import Explanation
from spherex_butler.calibrations.reports import CalibrationIngestReport, CertificationReport, DecertificationReport
from spherex_butler.configuration.check import ConfigurationReport, Finding, check_configuration
from spherex_butler.datasets.report import DatasetReport
from spherex_butler.export import CopyReport, ExportReport
from spherex_butler.files.failures import FailedFile
from spherex_butler.ingest import IngestPreview, IngestReport
from spherex_butler.ingest.preview import RunPreview
from spherex_butler.repository.image_refs import ImageRefs
from spherex_butler.repository.instrument import Registration
from spherex_butler.repository.reports import Report
from spherex_butler.search import Cutouts, RepositorySummary
from spherex_butler.summaries import Summarized
from spherex_butler.verify import check_repository
from spherex_butler.verify.report import Findings, Kind


def packages() -> Iterator[ModuleType]:
    """Find this package and every room that has public names."""
    yield spherex_butler
    for found in pkgutil.iter_modules(spherex_butler.__path__):
        room = importlib.import_module(f"spherex_butler.{found.name}") if found.ispkg else None
        if room is not None and hasattr(room, "__all__") and found.name != "cli":  # for a shell, not a prompt
            yield room


@pytest.mark.parametrize("package", list(packages()), ids=lambda package: package.__name__)
def test_package_lists_its_public_names_and_no_others(package):
    assert dir(package) == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def found_problem():
    findings = Findings(limit=1)
    for number in range(3):
        findings.add(Kind.FILE_MISSING, f"dataset {number}", "is gone")
    return findings.report()


def explanation():
    nothing = {"valid": (), "invalid": (), "uncertified": ()}
    return Explanation("dark", "exposure 1, detector 3", Timespan(None, None), **nothing)


def dataset():
    universe = DimensionUniverse()
    kind = DatasetType("gains", ["instrument"], "StructuredDataDict", universe=universe)
    data_id = DataCoordinate.standardize(instrument="SPHEREx", universe=universe, dimensions=kind.dimensions)
    return DatasetReport(DatasetRef(kind, data_id, run="u/test"), ())


REPORTS = {
    "dataset": (dataset(), "<DatasetReport: gains instrument=SPHEREx, in u/test>"),
    "ingest": (IngestReport(failed=[FailedFile("a", "b")]), "<IngestReport: 0 ingested, 0 already there, 1 failed>"),
    "certification": (CertificationReport(), "<CertificationReport: 0 certified, 0 replaced, 0 unchanged>"),
    "decertification": (DecertificationReport(), "<DecertificationReport: 0 decertified, 0 kept in part>"),
    "calibrations": (
        CalibrationIngestReport(),
        "<CalibrationIngestReport: 0 ingested, 0 already there, 0 failed; 0 certified>",
    ),
    "export": (
        ExportReport(),
        (
            "<ExportReport: 0 images exported, 0 already there; 0 calibrations exported, 0 already there; "
            "0 validity ranges certified; 0 failed>"
        ),
    ),
    "copy": (
        CopyReport(),
        (
            "<CopyReport: 0 dimension records; 0 datasets copied, 0 already there; 0 new collections; "
            "0 validity ranges certified; 0 failed>"
        ),
    ),
    "preview": (
        IngestPreview(runs={("qr2", "spx/x"): RunPreview("qr2", "spx/x", 2)}),
        (
            "<IngestPreview: qr2 spx/x: 2 to ingest, 0 already there; 2 to ingest, 0 already there, 0 would fail; "
            "nothing was changed>"
        ),
    ),
    "archive": (ArchiveSummary(), "<ArchiveSummary: 0 images in 0 runs, 0 rows failed>"),
    "configuration": (
        ConfigurationReport((Finding("a", "b", warning=True),)),
        "<ConfigurationReport: 1 thing to correct>",
    ),
    "repository": (found_problem(), "<RepositoryReport: 0 images, 0 datasets, 0 files checked; 3 problems>"),
    "summary": (
        RepositorySummary("repo", "spherex 1", 2, None, None, 1, {}, {"spx/x": 9}, {}, {"dark": 3}, {}, ()),
        "<RepositorySummary: 2 exposures, 9 images, 3 calibrations>",
    ),
    "cutouts": (Cutouts(fetched=3, there=2), "<Cutouts: 3 cutouts fetched, 2 already there, 0 failed>"),
    "registration": (Registration(("detector 3",), (), ()), "<Registration: 1 added, 0 different and kept>"),
    "explanation": (
        explanation(),
        "<Explanation: dark of exposure 1, detector 3: It gets none: nothing was valid then>",
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_report_shows_its_summary(name):
    report, shown = REPORTS[name]
    assert repr(report) == shown
    assert is_dataclass(report)


def subclasses(cls: type) -> Iterator[type]:
    for found in cls.__subclasses__():
        yield found
        yield from subclasses(found)


def test_every_report_shows_its_summary():
    shown = {type(report) for report, _ in REPORTS.values()}
    reports = {
        cls for cls in subclasses(Summarized) if cls.__qualname__ != "Report" and "<locals>" not in cls.__qualname__
    }
    assert {cls.__qualname__ for cls in reports} == {cls.__qualname__ for cls in shown}
    assert Report.__repr__ is Summarized.__repr__
    for cls in shown:
        assert cls.__repr__ is Summarized.__repr__, cls
        assert fields(cls)


def test_reports_of_real_checks_fit_a_line(butler):
    for report in (check_repository(butler), check_configuration()):
        assert "\n" not in repr(report)
        assert len(repr(report)) < 200


def test_many_datasets_are_counted():
    refs = ImageRefs()
    assert repr(refs) == "<ImageRefs: 0 datasets>"

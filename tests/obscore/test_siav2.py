"""dax_obscore finds our plug-ins, and what it then answers."""

from __future__ import annotations

import pytest
from lsst.dax.obscore.obscore_exporter import ObscoreExporter
from lsst.dax.obscore.siav2 import siav2_query_from_raw
from obscore_samples import archive_repo, archive_rows

from spherex_butler.obscore.siav2 import exporter_config


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    with archive_repo(tmp_path_factory.mktemp("siav2") / "repo", obscore=False) as butler:
        yield butler


def found(butler, **query):
    """Return the identifiers that a query finds, and its status."""
    document = siav2_query_from_raw(butler, exporter_config(), **query)
    (status,) = (info.value for info in document.resources[0].infos if info.name == "QUERY_STATUS")
    table = document.get_first_table().to_table()
    return ([] if not len(table) else sorted(table["obs_publisher_did"].tolist())), status


ALL = sorted(row["obs_publisher_did"] for row in archive_rows().values())
IRIS = [did for did in ALL if "2025W49" in did]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ALL),
        ({"pos": "CIRCLE 162.1 0.5 0.1"}, IRIS),
        ({"pos": ["CIRCLE 162.1 0.5 0.1", "CIRCLE 200 60 1"]}, IRIS),
        ({"pos": "POLYGON 162 0 163 0 163 1"}, IRIS),
        ({"band": "1.2e-6 1.4e-6"}, IRIS),
        ({"band": "9e-6 10e-6"}, []),
        ({"time": "61011 61012"}, IRIS),
        ({"exptime": "100 120"}, ALL),
        ({"exptime": "200 +Inf"}, []),
        ({"instrument": "SPHEREx"}, ALL),
        ({"instrument": "Spitzer"}, []),
        ({"id": IRIS[0]}, IRIS[:1]),
        ({"id": IRIS, "time": "61011.5 61011.505"}, IRIS[:1]),
        ({"collection": "spherex_qr2"}, ALL),
        ({"collection": "spherex_qr3"}, []),
        ({"calib": 3}, []),
    ],
)
def test_parameters_are_understood(repo, query, expected):
    assert found(repo, **query)[0] == expected


def test_more_rows_than_asked_for_are_an_overflow(repo):
    some, status = found(repo, maxrec=3)
    assert (len(some), status) == (3, "OVERFLOW")


def test_dataset_is_found_by_its_address_in_butler(repo):
    (ref,) = repo.query_datasets("level2", "SPHEREx/defaults", where="detector = 5")
    assert found(repo, id=f"butler://spherex/{ref.id}")[0] == [did for did in ALL if did.endswith("D5")]


def test_export_of_dax_obscore_has_our_columns(repo):
    rows = {row["obs_publisher_did"]: row for row in ObscoreExporter(repo, exporter_config()).iter_records()}
    for theirs in archive_rows().values():
        row = rows[theirs["obs_publisher_did"]]
        assert (row["t_min"], row["em_max"], row["s_pixel_scale"]) == (theirs["t_min"], theirs["em_max"], 6.15)
        assert row["s_region"].split()[:2] == ["POLYGON", "ICRS"]
        assert row["energy_bandpassname"] == theirs["energy_bandpassname"]

"""``butler spherex show``: any dataset, what it is, what its file holds, and what it was made from."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.table import Table
from calibration_repositories import DARK, NEWER_DARK, observe
from command_line import invoke, run
from lsst.daf.butler import Butler, DatasetProvenance, DatasetRef, DatasetType, FileDataset
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from made_once import copy_exposures, open_repo

from spherex_butler.calibrations import certify
from spherex_butler.ingest import ingest_files

IMAGE = ("exposure=20255110106842", "detector=3")


@pytest.fixture
def images(repo, tmp_path):
    with open_repo(repo) as butler:
        ingest_files(butler, copy_exposures(tmp_path / "files")[:3], transfer="copy")
    return repo


def put(repo, name: str, storage_class: str, value: object):
    """Store a dataset of a type of one's own; return it."""
    with Butler.from_config(repo, writeable=True, run="u/test", instrument="SPHEREx") as butler:
        kind = DatasetType(name, ["instrument", "detector"], storage_class, universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        return butler.put(value, name, detector=2)


def test_image_is_shown_with_its_hdus(images):
    text = run("show", images, "level2", *IMAGE)
    assert text.startswith(
        "dataset     level2 (SpectralImage)\ndata ID     instrument=SPHEREx, detector=3, exposure=2025"
    )
    assert "\nrun         spx/l2b-v21-2025-354\nfile        file://" in text
    assert (
        "\ncontent     FITS, 7 parts\n  0   PRIMARY   header only\n  1   IMAGE     image float32 (16, 16), MJy / sr\n"
        in text
    )
    assert "VALUES  float32 (14, 9, 2)  um" in text
    assert text.endswith("provenance\n  none: the file was not written by Butler\n")
    assert run("show", images, "level2", "exposure=2025W51_1A_0684_2", "detector=D3") == text


def test_provenance_is_shown(images):
    with Butler.from_config(images, writeable=True, run="u/test", instrument="SPHEREx") as butler:
        (source,) = butler.query_datasets("level2", collections="SPHEREx/defaults", detector=3)
        butler.registry.registerDatasetType(DatasetType("starlight", source.dimensions, "SpectralImage"))
        provenance = DatasetProvenance(inputs=[source.to_simple()])
        product = butler.put(butler.get(source).subtract_zodi(), "starlight", source.dataId, provenance=provenance)
    text = run("show", images, "starlight", *IMAGE, "--collections", "u/test")
    assert f"ID                          {product.id}" in text
    assert f"INPUT 0 ID                  {source.id}" in text
    assert run("show", images, product.id) == text


def test_table_is_shown_with_its_columns(repo):
    table = Table({"id": [1, 2], "flux": [1.5, 2.5] * u.mJy}, meta={"name": "sources"})
    table["id"].description = "number of the source"
    ref = put(repo, "sources", "VOTable", table)
    text = run("show", repo, "sources", "detector=2", "--collections", "u/test")
    assert (
        "content     VOTable, 1 part\n"
        "  0   sources  table of 2 rows\n"
        "        id    int64         number of the source\n"
        "        flux  float64  mJy\n"
    ) in text
    found = json.loads(invoke("show", repo, ref.id, "--json").stdout)
    (file,) = found.pop("files")
    assert found == {
        "dataset_type": "sources",
        "data_id": {"instrument": "SPHEREx", "detector": 2},
        "run": "u/test",
        "id": str(ref.id),
        "storage_class": "VOTable",
        "provenance": {},
        "ok": True,
    }
    assert file.pop("uri").endswith(".vot")
    assert file.pop("size")["unit"] == "byte"
    names = ("name", "dtype", "unit", "shape", "description")
    columns = [("id", "int64", None, [], "number of the source"), ("flux", "float64", "mJy", [], None)]
    part = {"shape": None, "dtype": None, "unit": None, "compression": None}
    part |= {"name": "sources", "kind": "table", "rows": 2}
    part["columns"] = [dict(zip(names, column, strict=True)) for column in columns]
    content = {"format": "VOTable", "parts": [part]}
    assert file == {"checksum": None, "component": None, "content": content, "problem": None}


def test_dataset_of_an_unknown_format_is_shown_without_its_content(repo):
    with Butler.from_config(repo, writeable=True, run="u/test", instrument="SPHEREx") as butler:
        kind = DatasetType("map", ["instrument"], "SkyMap", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        ref = DatasetRef(kind, butler.registry.expandDataId(instrument="SPHEREx"), run="u/test")
        path = repo.parent / "map.pickle"
        path.write_bytes(b"not to be unpickled")
        butler.ingest(FileDataset(str(path), ref), transfer="copy")
    text = run("show", repo, ref.id)
    assert "\nsize        19 bytes\ncontent     not looked into, as '.pickle' is no known format\n" in text
    assert "none: it is recorded in FITS files, and in tables that Butler itself writes" in text


def test_dataset_without_a_file_is_shown(images):
    with open_repo(images) as butler:
        (ref,) = butler.query_datasets("level2", collections="SPHEREx/defaults", detector=3)
        butler.pruneDatasets([ref], unstore=True, purge=False, disassociate=False)
    assert "file        none on record" in run("show", images, "level2", *IMAGE)


def test_checksum_on_record_is_shown(repo):
    with Butler.from_config(repo, writeable=True, run="u/test", instrument="SPHEREx") as butler:
        butler._datastore.useChecksum = True
        ref = butler.put({"D1": [1.0]}, "gain_factors")
        checksum = FileDatastore.computeChecksum(butler.getURI(ref))
    assert f"\nchecksum    {checksum}\n" in run("show", repo, ref.id)


def test_calibration_is_the_one_that_is_valid_for_an_exposure(repo):
    with Butler.from_config(repo, writeable=True, instrument="SPHEREx") as butler:
        observe(butler)
        for token in (DARK, NEWER_DARK):
            butler.collections.register(f"spx/{token}")
        darks = [
            butler.put(CCDData(np.zeros((2, 3)), unit="electron/s"), "dark", detector=3, run=f"spx/{token}")
            for token in (DARK, NEWER_DARK)
        ]
        certify(butler, "dark", rule="explicit", token=DARK, end="2026-07-20T00:00:00")
        only = run("show", repo, "dark", "detector=3")
        certify(butler, "dark", rule="explicit", token=NEWER_DARK, begin="2026-07-20T00:00:00")
    text = run("show", repo, "dark", *IMAGE)
    assert f"id          {darks[0].id}" in text
    assert "image float64 (2, 3), electron / s" in text
    assert only == text == run("show", repo, "dark", "exposure=2025W51_1A_0684_2", "detector=D3")
    text = run("show", repo, "dark", "detector=3", code=1)
    assert f"There is one in spx/{DARK} and in spx/{NEWER_DARK}; give --collections" in text


def test_dataset_whose_file_is_cut_or_lost_is_shown_and_fails(images):
    with open_repo(images) as butler:
        (ref,) = butler.query_datasets("level2", collections="SPHEREx/defaults", detector=3)
        path = Path(butler.getURI(ref).ospath)
    os.truncate(path, 5000)
    text = run("show", images, "level2", *IMAGE, code=1)
    assert f"id          {ref.id}" in text
    assert (
        "problem     it has 5,000 bytes; 149,760 are on record. 'butler spherex verify REPO' says what to do." in text
    )
    path.unlink()
    text = run("show", images, "level2", *IMAGE, code=1)
    assert "problem     the file is not there. 'butler spherex verify REPO' says what to do." in text
    (file,) = json.loads(invoke("show", images, ref.id, "--json", code=1).stdout)["files"]
    assert (file["content"], file["problem"][:25]) == (None, "the file is not there. 'b")


def test_damaged_file_of_the_size_on_record_is_shown_and_fails(repo):
    ref = put(repo, "sources", "VOTable", Table({"id": [1, 2]}))
    with open_repo(repo) as butler:
        path = Path(butler.getURI(ref).ospath)
    path.write_bytes(b"x" * path.stat().st_size)
    text = run("show", repo, ref.id, code=1)
    assert "problem     astropy cannot read the VOTable" in text


@pytest.mark.parametrize(("name", "begin"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_image_is_drawn_to_a_file(images, tmp_path, name, begin):
    path = tmp_path / name
    result = invoke("show", images, "level2", *IMAGE, "--plot", path)
    assert path.read_bytes().startswith(begin)
    assert result.stderr == f"Wrote the picture to {path}.\n"
    assert result.stdout == run("show", images, "level2", *IMAGE)


def test_picture_leaves_json_alone_and_no_file_is_replaced_unasked(images, tmp_path):
    path = tmp_path / "a.svg"
    assert json.loads(invoke("show", images, "level2", *IMAGE, "--json", "--plot", path).stdout)["ok"]
    assert "2025W51_1A_0684_2 D3" in svg_text(path)
    path.write_text("precious")
    text = run("show", images, "level2", *IMAGE, "--plot", path, code=2)
    assert "exists; give --overwrite to replace it" in text
    assert path.read_text() == "precious"
    run("show", images, "level2", *IMAGE, "--plot", path, "--overwrite")
    assert path.read_bytes().startswith(b"<?xml")


def svg_text(path: Path) -> str:
    """Return the comments of an SVG file, in which matplotlib says what its text is."""
    return " ".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.jpg", "'a.jpg' is not a picture; expected a name that ends in .png, .svg, .pdf"),
        ("no/a.png", "is not a folder"),
    ],
)
def test_file_that_cannot_be_drawn_to_is_refused_before_anything(images, path, message):
    text = run("show", images, "level2", *IMAGE, "--plot", path, code=2)
    assert message in " ".join(text.split())
    assert "dataset " not in text


def test_calibration_is_drawn_and_what_is_no_image_is_refused(repo, tmp_path):
    dark = put(repo, "my_dark", "CCDData", CCDData(np.arange(6.0).reshape(2, 3), unit="electron/s"))
    run("show", repo, dark.id, "--plot", tmp_path / "dark.svg")
    assert "image [e⁻ / s]" in svg_text(tmp_path / "dark.svg")
    table = put(repo, "sources", "VOTable", Table({"id": [1, 2]}))
    text = run("show", repo, table.id, "--plot", tmp_path / "table.png", code=2)
    assert "--plot draws images; sources is of the storage class VOTable" in text
    assert not (tmp_path / "table.png").exists()


def test_damaged_image_is_not_drawn(images, tmp_path):
    with open_repo(images) as butler:
        (ref,) = butler.query_datasets("level2", collections="SPHEREx/defaults", detector=3)
        Path(butler.getURI(ref).ospath).unlink()
    run("show", images, "level2", *IMAGE, "--plot", tmp_path / "a.png", code=1)
    assert not (tmp_path / "a.png").exists()

"""What files of each format hold, told without reading them whole."""

from __future__ import annotations

import gzip

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from lsst.daf.butler import Butler, DatasetProvenance, DatasetType
from lsst.resources import ResourcePath
from made_once import copy_repo

from spherex_butler.datasets.content import Column, Content, Part
from spherex_butler.datasets.reading import read_content
from spherex_butler.datasets.report import describe_dataset
from spherex_butler.errors import FormatError

TABLE = Table({"id": [1, 2, 3], "flux": [1.0, 2.0, 3.0] * u.mJy, "pair": np.ones((3, 2), "f4")}, meta={"name": "cat"})
TABLE["id"].description = "number"
COLUMNS = (
    Column("id", "int64", description="number"),
    Column("flux", "float64", unit="mJy"),
    Column("pair", "float32", shape=(2,)),
)


def table(name: str = "table") -> tuple[Part, ...]:
    return (Part(name=name, kind="table", rows=3, columns=COLUMNS),)


TREE = {
    "group": {"image": np.zeros((4, 5), "f4"), "width": [1.0, 2.0] * u.um, "cat": TABLE},
    "text": "abc",
    "number": 3,
}
NODES = (
    Part(name="group", kind="mapping"),
    Part(name="group/image", kind="array", shape=(4, 5), dtype="float32"),
    Part(name="group/width", kind="array", shape=(2,), dtype="float64", unit="um"),
    *table("group/cat"),
    Part(name="text", kind="str", dtype="S3"),
    Part(name="number", kind="int", dtype="int64"),
)

EACH = {
    "VOTable": (TABLE, "VOTable", table("cat")),
    "VOQTable": (QTable(TABLE), "VOTable", table("cat")),
    "HDF5": (TREE, "HDF5", NODES),
    "HDF5Table": (TABLE, "HDF5", table()),
    "HDF5Array": (np.zeros((3, 4), "i2"), "HDF5", (Part(name="array", kind="array", shape=(3, 4), dtype="int16"),)),
    "NumpyArray": (np.zeros(7), "HDF5", (Part(name="array", kind="array", shape=(7,), dtype="float64"),)),
    "AstropyTable": (TABLE, "ECSV", table()),
    "ArrowAstropy": (TABLE, "Parquet", table()),
    "ArrowNumpyDict": (
        {"a": np.array([1, 2])},
        "Parquet",
        (Part(name="table", kind="table", rows=2, columns=(Column("a", "int64"),)),),
    ),
    "StructuredDataDict": (
        {"D1": [1.0, 2.0], "more": {"x": 1}, "word": "k"},
        "YAML",
        (Part(name="D1", kind="list of 2"), Part(name="more", kind="mapping of 1"), Part(name="word", kind="str")),
    ),
    "int": (4, "JSON", (Part(name="", kind="int"),)),
}
"""By storage class: a dataset, its format and parts."""


@pytest.fixture(scope="module")
def butler(tmp_path_factory):
    folder = copy_repo(tmp_path_factory.mktemp("reading") / "repo")
    with Butler.from_config(folder, writeable=True, run="u/test", instrument="SPHEREx") as opened:
        opened.collections.register("u/other")
        yield opened


def put(butler: Butler, storage_class: str, value: object, **options: object) -> Content:
    """Return what is told of a dataset that Butler has written."""
    kind = DatasetType(f"a_{storage_class.lower()}", ["instrument"], storage_class, universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    if isinstance(value, Table):
        value = value.copy()  # to whose meta Butler adds provenance
    (file,) = describe_dataset(butler, butler.put(value, kind, **options)).files
    assert file.problem is None
    assert file.size == file.uri.size()
    assert file.content is not None
    return file.content


@pytest.mark.parametrize("storage_class", EACH)
def test_storage_class(butler, storage_class):
    value, file_format, parts = EACH[storage_class]
    content = put(butler, storage_class, value)
    assert (content.format, content.parts) == (file_format, parts)


def test_hdus(butler):
    varying = np.array([np.arange(3), np.arange(2)], dtype=object)
    hdus = [
        fits.PrimaryHDU(),
        fits.CompImageHDU(np.zeros((30, 40), "i4"), name="TILES"),
        fits.ImageHDU(np.zeros((2, 3), "u2"), fits.Header({"BUNIT": "electron"}), name="UNSIGNED"),
        fits.ImageHDU(np.zeros(3, "i2"), name="SCALED"),
        fits.table_to_hdu(TABLE),
        fits.BinTableHDU.from_columns([fits.Column("v", "PJ()", array=varying)], name="VARYING"),
        fits.TableHDU.from_columns(
            [
                fits.Column("f", "F8.3", array=np.array([1.0]), unit="m"),
                fits.Column("s", "A4", array=np.array(["abcd"])),
            ],
            name="TEXT",
        ),
    ]
    hdus[3].header["BSCALE"] = 2.0
    content = put(butler, "HDUList", fits.HDUList(hdus), provenance=DatasetProvenance())
    fits_columns = (Column("id", "int64"), *COLUMNS[1:])
    assert content.parts == (
        Part(name="PRIMARY", kind="header"),
        Part(name="TILES", kind="image", shape=(30, 40), dtype="int32", compression="RICE_1"),
        Part(name="UNSIGNED", kind="image", shape=(2, 3), dtype="uint16", unit="electron"),
        content.parts[3],
        Part(name="", kind="table", rows=3, columns=fits_columns),
        Part(name="VARYING", kind="table", rows=2, columns=(Column("v", "int32", shape=(None,)),)),
        Part(name="TEXT", kind="table", rows=1, columns=(Column("f", "float64", unit="m"), Column("s", "S4"))),
    )
    assert content.provenance["DATASETTYPE"] == "a_hdulist"


def test_provenance_of_a_table_that_butler_writes(butler):
    content = put(butler, "ArrowAstropy", TABLE, run="u/other", provenance=DatasetProvenance())
    assert content.provenance["RUN"] == "u/other"


@pytest.mark.parametrize("name", ["x.fits.gz", "x.vot.gz"])
def test_gzipped_file(tmp_path, name):
    plain = tmp_path / name.removesuffix(".gz")
    TABLE.write(plain, format="votable" if ".vot" in name else "fits")
    (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    content = read_content(ResourcePath(str(tmp_path / name)))
    assert content is not None
    assert content.parts[-1].rows == 3
    assert [column.name for column in content.parts[-1].columns] == TABLE.colnames


def test_format_that_is_not_known_is_nothing(tmp_path):
    (tmp_path / "x.pickle").write_bytes(b"")
    assert read_content(ResourcePath(str(tmp_path / "x.pickle"))) is None


def test_text_that_is_too_long_is_not_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: " + "x" * (1 << 20))
    with pytest.raises(FormatError, match=r"It has 1048579 bytes, and YAML can only be read whole; butler\.get"):
        read_content(ResourcePath(str(path)))


@pytest.mark.parametrize(("name", "text"), [("x.yaml", "a: [1"), ("x.json", "{"), ("x.json", "[" * 100_000)])
def test_text_of_another_kind_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=r"It is not the (YAML|JSON) that was expected: "):
        read_content(ResourcePath(str(tmp_path / name)))


def test_text_of_a_file_cannot_command_a_terminal():
    column = Column("a\nb", "int64", description="red \x1b[31m")
    lines = Content("ECSV", (Part(name="x\x1b]0;", kind="table", rows=1, columns=(column,)),)).lines()
    assert lines == ["0   x ]0;  table of 1 row", "      a b  int64    red  [31m"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parq", b"PAR1" + bytes(20) + b"PAR1", "The Parquet file is damaged: "),
        ("x.parquet", b"nothing", "The file is damaged, or not what its extension '.parquet' says: ArrowInvalid: "),
        ("x.ecsv", b"# %ECSV 1.0\n# ---\n# datatype: [\n", "not what its extension '.ecsv' says: YamlParseError"),
        ("x.ecsv", b"# %ECSV 1.0\n# ---\n# datatype:\n# - {unit: m}\na\n", "extension '.ecsv' says: KeyError: 'name'"),
        ("x.ecsv", b"\xff\xfe", "extension '.ecsv' says: UnicodeDecodeError: "),
        ("x.h5", b"nothing", "The file is not an HDF5 file"),
        ("x.fits", b"nothing", "expected the start of a FITS file"),
    ],
)
def test_damaged_file_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_content(ResourcePath(str(tmp_path / name)))
    assert message in str(caught.value)


def test_of_very_many_parts_the_first_are_listed():
    lines = Content("HDF5", tuple(Part(name=f"key{n}", kind="array", shape=(n,)) for n in range(300))).lines()
    assert len(lines) == 101
    assert lines[0] == "0   key0    array (0,)"
    assert lines[-1] == "… and 200 more lines; --json has all"

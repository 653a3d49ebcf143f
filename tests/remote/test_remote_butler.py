"""A repository in PostgreSQL and S3 read through daf_butler's own server, with our storage classes and universe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from butler_server import TOKEN, Guard, guarded, needs_server, serve_repositories
from command_line import run
from damage import DARK_RUN, certify, put_dark
from http_server import serve
from image_samples import assert_same
from lsst.daf.butler import Butler, DatasetType, DimensionConfig
from made_once import copy_configuration, copy_repo, new_repo, open_repo
from postgres import new_database, reader_of
from s3_server import Bucket, serve_bucket
from stored_objects import STORED, numbers_in

import spherex_butler
from spherex_butler import SpectralImage, dimension_config, extend_universe, make_repo
from spherex_butler.errors import ConfigurationError
from spherex_butler.ingest import ingest_files
from spherex_butler.search import coverage, find_images, get_cutouts
from spherex_butler.testing import write_exposures
from spherex_butler.verify import Kind, check_repository, repair

pytestmark = [needs_server, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

BOX = (900, 920, 905, 915)


@dataclass
class Site:
    """What a site runs, and what it is asked."""

    files: dict[tuple[int, int], Path]
    owner: Butler
    bucket: Bucket
    server: str
    guard: Guard

    @property
    def url(self) -> str:
        return f"{self.guard.url}/api/butler/repo/sky"


def with_realizations() -> DimensionConfig:
    """Return our dimensions and one more."""
    seed = {"name": "seed", "type": "int"}
    realization = {"requires": ["instrument"], "keys": [{"name": "id", "type": "int"}], "metadata": [seed]}
    return extend_universe({"realization": realization}, namespace="remote_test", version=1)


def fill(butler: Butler, paths: Sequence[Path]) -> None:
    """Put images and a residual of a realization into a repository that has these."""
    ingest_files(butler, paths[:1], transfer="copy")
    butler.registry.insertDimensionData("realization", {"instrument": "SPHEREx", "id": 7, "seed": 1007})
    kind = DatasetType("residual", ["realization", "detector"], "CCDData", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    butler.collections.register("u/me/residuals")
    residual = CCDData(np.full((4, 5), 2.5, np.float32), unit="MJy / sr")
    butler.put(residual, "residual", realization=7, detector=3, run="u/me/residuals")


@pytest.fixture(scope="module")
def site(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    paths = write_exposures(folder / "files", exposures=2, detectors=[2, 3], size=256)
    database = new_database(postgres_server)
    with contextlib.ExitStack() as stack:
        bucket = stack.enter_context(serve_bucket("site"))
        owner = stack.enter_context(make_repo(folder / "repo", database=database, datastore_root=f"{bucket.url}/sky"))
        refs = ingest_files(owner, paths, transfer="copy").ingested
        files = {
            (ref.dataId["exposure"], ref.dataId["detector"]): path
            for ref in refs
            for path in paths
            if path.name == owner.getURI(ref).basename()
        }
        certify(owner, put_dark(owner, 3))
        reader = stack.enter_context(reader_of(database))
        public = copy_configuration(folder / "repo", folder / "public", {"registry": {"db": reader}})
        with open_repo(copy_repo(folder / "local")) as local:
            ingest_files(local, paths[0], transfer="copy")
        web = stack.enter_context(serve(folder / "local"))
        datastore = {"datastore": {"root": web.url}}
        registry = {"registry": {"db": f"sqlite:///{folder}/local/gen3.sqlite3"}}
        on_web = copy_configuration(folder / "local", folder / "web", registry | datastore)
        root = f"{bucket.url}/extended"
        extended = make_repo(
            folder / "extended",
            database=new_database(postgres_server),
            datastore_root=root,
            dimensions=with_realizations(),
        )
        fill(stack.enter_context(extended), paths)
        served = {"sky": public, "local": folder / "local", "web": on_web, "extended": folder / "extended"}
        server = stack.enter_context(serve_repositories(folder / "log", **served))
        guard = stack.enter_context(guarded(server))
        yield Site(files, owner, bucket, server, guard)


@pytest.fixture(autouse=True)
def _client(monkeypatch) -> Iterator[None]:
    """Give the client its token, and close its connections, which a RemoteButler keeps though it is closed."""
    import httpx2

    with contextlib.ExitStack() as opened:

        class Client(httpx2.Client):
            def __init__(self, *args, **options) -> None:
                super().__init__(*args, **options)
                opened.callback(self.close)

        monkeypatch.setattr(httpx2, "Client", Client)
        monkeypatch.setenv("BUTLER_RUBIN_ACCESS_TOKEN", TOKEN)
        yield


@pytest.fixture
def butler(site) -> Iterator[Butler]:
    """The repository as a client has it: it knows an address and a token."""
    with spherex_butler.open_repo(site.url) as butler:
        site.bucket.seen.clear()
        site.bucket.authorized.clear()
        yield butler


def first(butler: Butler, detector: int = 3):
    return butler.query_datasets("level2", where=f"detector = {detector}", order_by="exposure")[0]


def file_of(site: Site, ref) -> SpectralImage:
    return SpectralImage.read(site.files[ref.dataId["exposure"], ref.dataId["detector"]])


def test_universe_is_the_repositorys(butler):
    assert type(butler).__name__ == "RemoteButler"
    assert (butler.dimensions.namespace, butler.dimensions.version) == ("spherex", 1)
    assert butler.dimensions.dimensionConfig.toDict() == dimension_config().toDict()


def test_image_is_read_whole_and_by_component(butler, site):
    ref = first(butler)
    image = butler.get(ref)
    assert_same(image, file_of(site, ref))
    assert_same(butler.get("level2", exposure=ref.dataId["exposure"], detector=3), image)
    assert isinstance(butler.get(ref, storageClass="CCDData"), CCDData)
    assert np.array_equal(butler.get("level2.variance", ref.dataId), image.variance)
    assert butler.get(ref.makeComponentRef("header"))["OBSID"] == image.obs_id
    assert butler.get(ref.makeComponentRef("wcs")).wcs.compare(image.wcs.wcs)
    assert butler.get(ref.makeComponentRef("wavelength")).unit == u.um


def test_cutout_is_read_by_byte_ranges_of_a_signed_address(butler, site):
    ref = first(butler, detector=2)
    assert {"Signature", "Expires"} <= {part.partition("=")[0] for part in butler.getURI(ref).query.split("&")}
    cutout = butler.get(ref, parameters={"bbox": BOX})
    assert_same(cutout, file_of(site, ref).cutout(bbox=BOX), psf=False)
    assert site.bucket.gets
    assert all(wanted is not None for _, _, wanted, _ in site.bucket.gets)
    size = site.files[ref.dataId["exposure"], ref.dataId["detector"]].stat().st_size
    assert site.bucket.bytes_sent < 0.3 * size


def test_token_goes_to_the_server_alone(butler, site):
    butler.get(first(butler, detector=2), parameters={"bbox": BOX})
    asked = [given for path, given in site.guard.seen if not path.endswith("butler.yaml")]
    assert set(asked) >= {f"Bearer {TOKEN}"}
    assert site.bucket.gets
    assert site.bucket.authorized == []


def test_queries_are_answered(butler, site):
    ref = first(butler)
    center = site.owner.get(ref.makeComponentRef("wcs")).pixel_to_world(128, 128)
    where = f"exposure_detector_region.region OVERLAPS POINT({center.ra.deg}, {center.dec.deg})"
    assert ref in butler.query_datasets("level2", where=where)
    pixels = butler.query_data_ids("healpix4", where=where, instrument="SPHEREx", exposure=ref.dataId["exposure"])
    assert ref in butler.query_datasets("level2", where=f"healpix4 = {pixels[0]['healpix4']}")
    observed = {record.obs_id for record in butler.query_dimension_records("exposure")}
    assert observed == {file_of(site, one).obs_id for one in butler.query_datasets("level2")}
    assert "spx/l2b-v21-2025-354" in butler.collections.query("spx/l2b*")


def test_valid_calibration_is_found(butler):
    assert butler.get("dark", first(butler).dataId).shape == (4, 4)


def test_what_comes_while_the_server_runs_is_served(butler, site):
    site.owner.collections.register("u/products")
    for storage_class, make in STORED.items():
        name = f"product_{storage_class}"
        site.owner.registry.registerDatasetType(DatasetType(name, site.owner.dimensions.empty, storage_class))
        ref = site.owner.put(make(), name, run="u/products")
        got = butler.get(name, collections="u/products")
        assert np.array_equal(numbers_in(got), numbers_in(site.owner.get(ref))), storage_class
        assert butler.getURI(name, collections="u/products").scheme == "http"
    flux = butler.get("product_VOTable", collections="u/products", parameters={"columns": "flux"})["flux"]
    assert flux.tolist() == [1.5, 2.5]


def test_cutouts_of_images_that_were_found_at_the_database(butler, site, tmp_path):
    center = site.owner.get(first(butler).makeComponentRef("wcs")).pixel_to_world(100, 100)
    table = find_images(site.owner, center)
    assert len(table) >= 1
    expected = get_cutouts(site.owner, table, 8)
    site.bucket.seen.clear()
    cutouts = get_cutouts(butler, table, 8)
    assert cutouts.failed == []
    for got, wanted in zip(cutouts, expected, strict=True):
        assert_same(got, wanted, psf=False)
    assert all(wanted is not None for _, _, wanted, _ in site.bucket.gets)
    table.write(tmp_path / "found.ecsv")
    run("cutouts", site.url, tmp_path / "found.ecsv", tmp_path / "cutouts", "--size", "8pix")
    assert len(list((tmp_path / "cutouts").glob("*.fits"))) == len(table)


@pytest.mark.parametrize(
    "action",
    [
        lambda butler: find_images(butler, "10 41"),
        coverage,
        check_repository,
        spherex_butler.register,
        lambda butler: ingest_files(butler, "level2.fits"),
    ],
    ids=["find_images", "coverage", "verify", "register", "ingest"],
)
def test_what_needs_the_database_says_so(butler, action):
    with pytest.raises(ConfigurationError, match=r"through a Butler server.* on a machine that reaches"):
        action(butler)


def test_commands_answer_or_say_where_to_run_them(site):
    assert "2025W51_1A" in run("list", site.url)
    for name, *others in (["search", "10 41"], ["verify"], ["register"], ["report", "--output", "page.html"]):
        assert "through a Butler server" in run(name, site.url, *others, code=1)


def test_opening_for_writing_is_refused(site):
    with pytest.raises(ConfigurationError, match="through a Butler server, which changes nothing"):
        spherex_butler.open_repo(site.url, writeable=True)


@pytest.mark.parametrize("token", [None, "wrong"])
def test_who_has_no_token_is_told_of_it(site, token, monkeypatch):
    monkeypatch.delenv("BUTLER_RUBIN_ACCESS_TOKEN")
    if token:
        monkeypatch.setenv("BUTLER_RUBIN_ACCESS_TOKEN", token)
    with pytest.raises(ConfigurationError, match=r"with the token that it takes from you in .* BUTLER_RUBIN_ACCESS"):
        spherex_butler.open_repo(site.url)


def test_name_that_the_server_does_not_have_is_what_to_check(site):
    with pytest.raises(ConfigurationError, match=r"Request ID: .*Check the name at the end of the address; .* log"):
        spherex_butler.open_repo(f"{site.guard.url}/api/butler/repo/nothing")


PLAIN = """
import sys
from lsst.daf.butler import Butler
with Butler.from_config(sys.argv[1], collections="SPHEREx/defaults", instrument="SPHEREx") as butler:
    ref = butler.query_datasets("level2")[0]
    try:
        print(type(butler.get(ref)).__name__)
    except KeyError as error:
        print("unknown", error)
"""


def test_plain_butler_needs_our_storage_classes_on_its_path(site, run_python):
    assert run_python(PLAIN, site.url).strip() == "unknown 'SpectralImage'"
    path = spherex_butler.config_path()
    assert run_python(PLAIN, site.url, DAF_BUTLER_CONFIG_PATH=path).strip() == "SpectralImage"


REALIZATION = """
import sys
import spherex_butler
with spherex_butler.open_repo(sys.argv[1], collections=["u/me/residuals", "SPHEREx/defaults"]) as butler:
    (ref,) = butler.query_datasets("residual", where="realization.seed > 1006")
    (record,) = butler.query_dimension_records("realization")
    print(butler.dimensions.namespace, dict(ref.dataId.required), record.seed, butler.get(ref).data.sum())
    print(butler.get("residual", realization=7, detector=3).unit, butler.get(butler.query_datasets("level2")[0]).shape)
"""


def test_dimensions_of_others_are_served_to_who_never_saw_them(site, run_python):
    said = run_python(REALIZATION, f"{site.guard.url}/api/butler/repo/extended").splitlines()
    assert said == [
        "remote_test {'instrument': 'SPHEREx', 'detector': 3, 'realization': 7} 1007 50.0",
        "MJy / sr (256, 256)",
    ]


def test_files_are_fetched(butler, site, tmp_path):
    ref = first(butler)
    (fetched,) = butler.retrieveArtifacts([ref], tmp_path, transfer="copy", preserve_path=False)
    original = site.files[ref.dataId["exposure"], ref.dataId["detector"]]
    assert Path(fetched.ospath).read_bytes() == original.read_bytes()


def test_datasets_are_transferred_to_a_repository_of_the_readers(butler, site):
    refs = [first(butler), butler.query_datasets("dark", collections=DARK_RUN)[0]]
    with new_repo() as mine:
        done = mine.transfer_from(butler, refs, transfer="copy", register_dataset_types=True, transfer_dimensions=True)
        assert set(done) == set(refs)
        assert_same(mine.get(refs[0]), file_of(site, refs[0]))
        assert mine.get(refs[1]).shape == (4, 4)
        repair(mine, check_repository(mine).findings, complete_chains=True)
        left = {problem.kind for problem in check_repository(mine).problems}
        assert left == {Kind.NO_CALIBRATION}  # which is certified only there
        assert len(find_images(mine, mine.get(refs[0].makeComponentRef("wcs")).pixel_to_world(128, 128))) == 1


def test_local_files_are_not_served_unless_a_web_server_has_them(site):
    with spherex_butler.open_repo(f"{site.guard.url}/api/butler/repo/local") as butler:
        assert len(butler.query_datasets("level2")) == 1
        with pytest.raises(RuntimeError, match="Error while communicating with Butler server"):
            butler.get(butler.query_datasets("level2")[0])
    with spherex_butler.open_repo(f"{site.guard.url}/api/butler/repo/web") as butler:
        (ref,) = butler.query_datasets("level2")
        assert butler.getURI(ref).scheme == "http"
        assert butler.get(ref, parameters={"bbox": BOX}).shape == (10, 20)

"""A format from outside: the code of the how-to page, in a package that this one knows nothing of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler, Config, DatasetType

from spherex_butler import make_repo
from spherex_butler.formats.fits.boxes import Box

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-format.md"
MODULE, USE, FITS_MODULE, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
FRAGMENT, INCLUDE, FITS_FRAGMENT, _ = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def make_package(folder: Path, name: str, module: str, fragment: str) -> None:
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text(module, encoding="utf-8")
    (package / "butler.yaml").write_text(fragment, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def used(folder: Path) -> Iterator[dict[str, Any]]:
    """What the page's own use of its format leaves in variables."""
    make_package(folder, "lightcurves", MODULE, FRAGMENT)
    make_repo("repo").close()
    config = Path("repo", "butler.yaml")
    config.write_text(re.sub(r"includeConfigs:\n(- .*\n)+", INCLUDE, config.read_text("utf-8")), encoding="utf-8")
    variables: dict[str, Any] = {}
    exec(USE, variables)
    yield variables
    variables["butler"].close()


def test_what_was_put_comes_back_by_parameter_and_component(used):
    whole = used["butler"].get(used["ref"])
    np.testing.assert_array_equal((whole.time, whole.flux), (np.arange(5.0), np.ones(5)))
    np.testing.assert_array_equal(used["first"].time, [0.0, 1.0])
    np.testing.assert_array_equal(used["flux"], np.ones(5))


def test_file_is_the_formats_own(used):
    uri = used["butler"].getURI(used["ref"])
    assert (uri.getExtension(), uri.read().splitlines()[:2]) == (".txt", [b"0 1", b"1 1"])


@pytest.mark.parametrize(
    ("component", "parameters", "why"),
    [
        ("time", {}, "LightCurveFormatter has no component 'time'; expected one of ['flux']"),
        (None, {"columns": "a"}, "LightCurveFormatter has no parameters ['columns']; expected some of ['rows']"),
    ],
)
def test_what_the_formatter_does_not_know_is_refused(used, component, parameters, why):
    butler = used["butler"]
    formatter = butler._datastore._prepare_for_direct_get(used["ref"], parameters)[0].formatter
    with pytest.raises(ValueError, match=re.escape(why)):
        formatter.read_from_local_file(butler.getURI(used["ref"]).ospath, component)


def test_recipe_is_chosen_by_configuration(folder):
    make_package(folder, "lightcurves", MODULE, FRAGMENT)
    chosen = {"formatter": "lightcurves.LightCurveFormatter", "parameters": {"recipe": "short"}}
    includes = {"includeConfigs": ["resource://lightcurves/butler.yaml"]}
    Butler.makeRepo("repo", config=Config({**includes, "datastore": {"formatters": {"LightCurve": chosen}}}))
    variables: dict[str, Any] = {}
    exec(USE.replace("np.ones(5)", "np.full(5, 1 / 3)"), variables)
    np.testing.assert_array_equal(variables["flux"], np.full(5, 0.3333333))
    variables["butler"].close()


def test_format_in_fits_is_read_in_part_and_says_which_dataset_it_is(folder):
    make_package(folder, "depthmaps", FITS_MODULE, FITS_FRAGMENT)
    Butler.makeRepo("repo", config=Config({"includeConfigs": ["resource://depthmaps/butler.yaml"]}))
    with Butler.from_config("repo", writeable=True, run="tests") as butler:
        butler.registry.registerDatasetType(DatasetType("depth", butler.dimensions.empty, "DepthMap"))
        depths = np.arange(30.0).reshape(5, 6)
        ref = butler.put(depths, "depth")
        np.testing.assert_array_equal(butler.get(ref, parameters={"box": Box(1, 3, 2, 5)}), depths[2:5, 1:3])
        assert butler.get("depth.shape") == [5, 6]
        assert fits.getheader(butler.getURI(ref).ospath)["LSST BUTLER ID"] == str(ref.id)

"""What is in the wheel, and that it works installed in an environment of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

OPEN_A_REPOSITORY = """
import sys
import numpy as np
import spherex_butler
from lsst.daf.butler import Butler, DatasetType
butler = spherex_butler.make_repo(sys.argv[1])
butler.registry.registerDatasetType(DatasetType("numbers", butler.dimensions.empty, "HDF5Array"))
butler.collections.register("test")
butler.put(np.arange(3), "numbers", run="test")
print(spherex_butler.__file__, Butler.from_config(sys.argv[1]).get("numbers", collections="test"))
"""


def command(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def extras() -> dict[str, list[str]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def taken_by(extra: str) -> set[str]:
    """Return the extras that another one takes, with those that these take."""
    own = {name for need in extras()[extra] for name in re.findall(r"^spherex-butler\[(.+)\]$", need)}
    direct = {name for names in own for name in names.split(",")}
    return direct.union(*map(taken_by, direct))


def test_readme_tells_what_each_extra_is_for():
    install = (ROOT / "README.md").read_text().partition("## Install")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?`) \| .+ \|$", install, re.MULTILINE)
    told = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(told) == sorted(extras())


def test_all_is_what_users_need_and_dev_the_tools():
    assert taken_by("all") == set(extras()) - {"all", "dev", "test", "docs"}
    assert {"test", "docs"} <= taken_by("dev")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_everything_that_is_not_python(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "spherex_butler"
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    expected = {str(path.relative_to(ROOT)) for path in files}
    assert "spherex_butler/py.typed" in expected
    assert "spherex_butler/configs/storageClasses.yaml" in expected
    assert expected <= names


def test_wheel_holds_no_tests(wheel):
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(("tests/", "docs/"))]


def test_wheel_opens_a_repository_in_an_environment_of_its_own(wheel, tmp_path):
    environment = tmp_path / "environment"
    command(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    # Of what comes along, little is imported: compiling it all takes longer than the rest of the test.
    command(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", wheel)
    printed = command(python, "-E", "-c", OPEN_A_REPOSITORY, tmp_path / "repository", cwd=tmp_path)
    assert str(environment) in printed
    assert "[0 1 2]" in printed

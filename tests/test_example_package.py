"""The example of a package on ours: shown as it is, and run from its wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from spherex_butler.testing import source_catalog, source_flux

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "own-pipeline"
PAGE = ROOT / "docs" / "tutorials" / "your-own-pipeline.md"
STAR = SkyCoord(10.131065, 40.746510, unit="deg")  # of the simulated sky, in the middle of the first images

MAKE = """
import sys
from astropy.coordinates import SkyCoord
from spherex_butler.ingest import ingest_files
from spherex_stamps import add_targets, make_repository
with make_repository(sys.argv[1]) as butler:
    ingest_files(butler, sys.argv[2])
    star, nowhere = SkyCoord(10.131065, 40.746510, unit="deg"), SkyCoord(200, -40, unit="deg")
    add_targets(butler, "mine", {"star": star, "nowhere": nowhere})
"""
READ = """
import sys
import spherex_butler, spherex_stamps
butler = spherex_butler.open_repo(sys.argv[1])
for detector in (3, 6):
    stamps = butler.get("stamps", target_list="mine", target="star", detector=detector, collections="u/me/stamps")
    for wavelength, flux in zip(stamps.wavelengths, stamps.fluxes(), strict=True):
        print(wavelength, flux)
print(len(butler.query_datasets("stamps", collections="u/me/stamps")))
print(spherex_stamps.__file__)
"""


def files_of_example() -> list[Path]:
    return [path for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".toml", ".yaml"}]


def test_page_shows_every_file_as_it_is():
    assert len(files_of_example()) == 7
    page = PAGE.read_text()
    for path in files_of_example():
        assert f"\n# {path.relative_to(EXAMPLE.parent)}\n{path.read_text()}```\n" in page


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the wheel of the example is installed."""
    folder = tmp_path_factory.mktemp("example")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, EXAMPLE], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "installed", wheel], check=True)
    return folder / "installed"


def test_pipeline_runs_from_the_wheel(installed, tmp_path):
    programs = Path(sys.executable).parent
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DAF_BUTLER")}
    environment = clean | {"PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}

    def run(*words: object) -> str:
        command = [str(word) for word in words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    simulate = ["simulate", "archive", "--exposures", 3, "--detectors", "3,6", "--size", 300]
    run(sys.executable, "-m", "spherex_butler", *simulate)
    run(sys.executable, "-c", MAKE, "repo", "archive")
    pipeline = ["-b", "repo", "-p", "resource://spherex_stamps/pipeline.yaml", "--register-dataset-types"]
    selection = ["-i", "SPHEREx/defaults", "-o", "u/me/stamps", "-d", "target_list = 'mine'"]
    run(programs / "pipetask", "run", *pipeline, *selection)
    *rows, stacks, place = run(sys.executable, "-c", READ, "repo").splitlines()
    assert Path(place).is_relative_to(installed)
    wavelengths, fluxes = np.array([row.split() for row in rows], float).T
    catalog = source_catalog(STAR, 5 * u.arcmin)
    brightest = catalog[np.full(len(rows), np.argmax(catalog["flux"]))]
    truth = source_flux(brightest, wavelengths * u.um).to_value(u.mJy)
    assert stacks == "2"  # of the star in each detector, and none of the target that no image saw
    assert len(rows) == 6
    assert fluxes == pytest.approx(truth, rel=0.1)

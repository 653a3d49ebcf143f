"""The demonstration of the spectra pipeline runs by either program, recovers what was simulated, and draws it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

DEMO = Path(__file__).parents[1] / "examples" / "pipeline.py"


@pytest.fixture(scope="module", params=["pipetask", "bps"])
def demo(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder and the account of a demonstration by somebody who has exported nothing."""
    output = tmp_path_factory.mktemp("demo") / "output"
    small = ["--exposures", "2", "--detectors", "2", "--size", "96", "-j", "1", "--output", str(output)]
    small += ["--bps"] if request.param == "bps" else []
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DAF_BUTLER", "BPS_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(DEMO), *small], capture_output=True, text=True, check=False, env=clean
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout


def test_account_tells_every_step_and_the_agreement(demo):
    _, printed = demo
    for title in ("1. Simulate", "2. Make", "3. Run", "4. Compare", "5. Look"):
        assert f"\n{title}" in printed
    assert "4 ingested, 0 already there, 0 failed\ncalibrations: 2 ingested" in printed
    ratios = [float(ratio) for ratio in re.findall(r"ratio ([\d.]+) \(median\)", printed)]
    assert ratios == pytest.approx([1, 1], abs=0.02)
    # Of some twenty fluxes; over all that 'make demo-pipeline' measures it is between 0.8 and 1.2.
    assert 0.4 < float(re.search(r"reduced chi2 of all: ([\d.]+)", printed)[1]) < 1.8


def test_products_are_in_the_repository(demo):
    output, _ = demo
    with Butler.from_config(output / "repository", collections="u/demo/spectra") as butler:
        assert len(butler.query_datasets("gain_corrected")) == 4
        assert len(butler.query_datasets("spectra")) == 1


def test_pictures_are_pictures(demo):
    output, _ = demo
    assert (output / "spectra.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

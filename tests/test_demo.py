"""The demonstration runs, says what it does, and leaves what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    output = tmp_path_factory.mktemp("demo") / "output"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(DEMO), "--size", "96", "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout


def test_account_tells_every_step(demo):
    _, printed = demo
    for title in ("1. Simulate", "2. Make", "3. Query", "4. Get", "5. Put", "6. Look"):
        assert f"\n{title}" in printed
    assert "12 ingested, 0 already there, 0 failed" in printed


def test_products_are_in_the_repository(demo):
    output, _ = demo
    with Butler.from_config(output / "repository") as butler:
        for name in ("starlight", "photometry", "sky_spectrum"):
            assert len(butler.query_datasets(name, collections="u/demo/derived")) == 1


def test_quick_look_is_a_picture(demo):
    output, _ = demo
    assert (output / "quick-look.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    done = subprocess.run(
        [sys.executable, str(DEMO), "--output", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "was not made by this demo" in done.stderr
    assert (tmp_path / "precious").exists()

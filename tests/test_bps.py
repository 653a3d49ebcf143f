"""Configurations of batch systems: what one line tells a submission, and jobs as far as they need no server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lsst.ctrl.bps import BpsConfig
from spectra_repositories import CATALOG, PIPELINE, catalog_of, make_repository, write_field

FOLDER = "resource://spherex_butler/configs/bps"
SERVICES = {
    "parsl": "lsst.ctrl.bps.parsl",
    "slurm": "lsst.ctrl.bps.parsl",
    "htcondor": "lsst.ctrl.bps.htcondor",
    "panda": "lsst.ctrl.bps.panda",
}
IN_A_JOB = ("runQuantumCommand", ".pipetask.pipetaskInit.runQuantumCommand", ".finalJob.command1")


SHORT = f"""\
description: Fluxes in images as they are.
imports:
  - location: {PIPELINE}
    include: [forcedPhotometry]
tasks:
  forcedPhotometry:
    class: spherex_butler.tasks.ForcedPhotometryTask
    config:
      connections.image: level2
"""


def write_submission(folder: Path, system: str, repo: Path) -> Path:
    path, pipeline = folder / f"{system}.yaml", folder / "short.yaml"
    pipeline.write_text(SHORT)
    path.write_text(
        f"""\
includeConfigs: {FOLDER}/{system}.yaml
pipelineYaml: {pipeline}
operator: me
payload:
  payloadName: {system}
  butlerConfig: {repo}
  inCollection: SPHEREx/defaults,{CATALOG}
  dataQuery: instrument = 'SPHEREx'
"""
    )
    return path


def submission(folder: Path, system: str) -> BpsConfig:
    return BpsConfig(str(write_submission(folder, system, folder / "repo")))


@pytest.mark.parametrize("system", SERVICES)
def test_one_line_brings_our_configuration_to_every_job(tmp_path, system):
    config = submission(tmp_path, system)
    assert config["wmsServiceClass"].startswith(SERVICES[system])
    for name in IN_A_JOB:
        _, command = config.search(name, opt={"replaceVars": False})
        assert command.startswith("spherex-butler exec ")


@pytest.mark.parametrize("system", SERVICES)
def test_no_program_is_sought_where_eups_has_it(tmp_path, system):
    config = submission(tmp_path, system)
    for name in (*IN_A_JOB, "createQuantumGraph", "updateQuantumGraph"):
        assert "_DIR}" not in config.search(name, opt={"replaceVars": False})[1]


def test_a_submission_has_the_last_word(tmp_path):
    path = write_submission(tmp_path, "parsl", tmp_path / "repo")
    path.write_text(path.read_text() + "site: {local: {cores: 7}}\nrequestMemory: 4096\n")
    config = BpsConfig(str(path))
    assert config[".site.local.cores"] == 7
    assert config[".site.local.class"] == "lsst.ctrl.bps.parsl.sites.Local"
    assert config["requestMemory"] == 4096


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bps")
    write_field(folder / "files", exposures=1)
    return make_repository(folder / "repo", folder / "files", catalog_of())


def bps(folder: Path, *words: str) -> str:
    """Call ``bps`` as somebody who has exported nothing."""
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAF_BUTLER", "BPS_"))}
    environment |= {"PATH": f"{programs}{os.pathsep}{environment['PATH']}", "PWD": str(folder)}
    command = [programs / "bps", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(("system", "written"), [("slurm", "parsl_workflow.pickle"), ("htcondor", "*.dag")])
def test_jobs_are_prepared_without_a_server(repo, tmp_path, system, written):
    bps(tmp_path, "prepare", str(write_submission(tmp_path, system, repo)))
    (folder,) = (tmp_path / "submit" / "u" / "me" / system).iterdir()
    assert list(folder.glob(written))
    assert list(folder.glob("*.qg"))

"""A command is run where Butler finds our configuration, in front of what there was."""

from __future__ import annotations

import os
import sys

import pytest

from spherex_butler import config_path

SHOW = "import os; print(os.environ['DAF_BUTLER_CONFIG_PATH'])"
FIND = "from lsst.daf.butler import StorageClassFactory; print(StorageClassFactory().getStorageClass('HDF5').name)"


def execute(run_clean, *command, **options):
    return run_clean(sys.executable, "-m", "spherex_butler", "exec", sys.executable, *command, **options).strip()


@pytest.mark.parametrize("before", ["", "/somewhere:/else", f"/somewhere:{config_path()}"])
def test_our_folder_stands_in_front_once(run_clean, before):
    others = [folder for folder in before.split(os.pathsep) if folder not in {"", config_path()}]
    found = execute(run_clean, "-c", SHOW, DAF_BUTLER_CONFIG_PATH=before)
    assert found == os.pathsep.join([config_path(), *others])


def test_butler_finds_our_storage_classes(run_clean):
    assert execute(run_clean, "-c", FIND) == "HDF5"


def test_options_and_exit_status_are_those_of_the_command(run_clean):
    assert execute(run_clean, "-c", "import sys; print(sys.argv[1:])", "-h", "--help", "--", "x") == (
        "['-h', '--help', '--', 'x']"
    )
    execute(run_clean, "-c", "raise SystemExit(7)", code=7)

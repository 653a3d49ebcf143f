"""What importing costs: the pure ring does without Butler, the names of the package come on first use."""

from __future__ import annotations

import pytest

import spherex_butler

PURE = ["errors", "names", "flags", "headers", "boxes", "paths", "fits_io", "level2_io", "spectral_image", "testing"]


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in PURE)])
def test_pure_modules_load_neither_butler_nor_click(run_python, module):
    script = (
        f"import sys, spherex_butler{module}; print([m for m in sys.modules if m.split('.')[0] in ('lsst', 'click')])"
    )
    assert run_python(script).strip() == "[]"


@pytest.mark.parametrize("module", ["repo", "universe", "installation", "config_check", "dataset_types"])
def test_modules_of_the_butler_ring_do_not_load_our_edge(run_python, module):
    script = (
        f"import sys, spherex_butler.{module}; "
        "print([m for m in sys.modules if m.startswith(('spherex_butler.cli', 'spherex_butler.tasks'))])"
    )
    assert run_python(script).strip() == "[]"


def test_config_path_is_known_without_butler(run_python):
    script = "import sys, spherex_butler; print(spherex_butler.config_path()); print('lsst.daf.butler' in sys.modules)"
    path, loaded = run_python(script).split()
    assert (path, loaded) == (spherex_butler.config_path(), "False")


@pytest.mark.parametrize("name", spherex_butler.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert getattr(spherex_butler, name) is not None
    assert name in dir(spherex_butler)


def test_public_names_are_listed_before_first_use(run_python):
    script = "import spherex_butler; print(sorted(set(spherex_butler.__all__) - set(dir(spherex_butler))))"
    assert run_python(script).strip() == "[]"


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'make_repos'; it has .*make_repo"):
        _ = spherex_butler.make_repos

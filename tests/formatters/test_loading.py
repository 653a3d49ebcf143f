"""Formatters are loaded on first use, by every path that configurations and stored datasets have for them."""

from __future__ import annotations

import pytest
from lsst.utils import doImportType

from spherex_butler import formatters


def test_only_the_format_whose_dependency_is_absent_is_missing(run_python):
    printed = run_python(
        "import sys; sys.modules['h5py'] = None\n"
        "from spherex_butler import formatters\n"
        "for name in formatters.__all__:\n"
        "    try:\n"
        "        getattr(formatters, name)\n"
        "    except ImportError as error:\n"
        "        print(name, error)\n"
    )
    assert [line.split()[0] for line in printed.splitlines()] == [
        "HDF5ArrayFormatter",
        "HDF5Formatter",
        "HDF5TableFormatter",
    ]
    assert "h5py" in printed


def test_a_formatter_loads_no_other(run_python):
    printed = run_python(
        "import sys\n"
        "from lsst.utils import doImportType\n"
        "doImportType('spherex_butler.formatters.votable.VOTableFormatter')\n"
        "print(sorted(name for name in sys.modules if name.startswith('spherex_butler.formatters.')))\n"
    )
    assert printed == "['spherex_butler.formatters.base', 'spherex_butler.formatters.votable']\n"


@pytest.mark.parametrize("name", formatters.__all__)
def test_class_is_found_by_the_path_of_its_module_and_of_the_package(name):
    cls = getattr(formatters, name)
    assert doImportType(f"spherex_butler.formatters.{name}") is cls
    assert doImportType(f"{cls.__module__}.{name}") is cls
    assert name in dir(formatters)


def test_unknown_class_is_refused_with_those_there_are():
    with pytest.raises(AttributeError, match=r"no attribute 'ZarrFormatter'; it has BaseFormatter, CCDDataFormatter"):
        _ = formatters.ZarrFormatter

"""Two that certify at once: it ends as if one had come after the other, or with an error that says why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from calibration_repositories import DARK, NEWER_DARK, register
from lsst.daf.butler import Butler

from spherex_butler.calibrations.queries import certifications
from spherex_butler.calibrations.validity import certify, decertify
from spherex_butler.errors import ParameterError


@pytest.fixture
def root(any_butler: Butler) -> str:
    register(any_butler, "dark", DARK, range(1, 7))
    register(any_butler, "gain_factors", "base-2025-158", None)
    return any_butler._config.configDir


def at_once(root: str, *actions: object) -> list[object]:
    """Run actions at the same time, each with a repository of its own; return what they return or raise."""
    barrier = Barrier(len(actions))

    def run(action):
        with Butler.from_config(root, writeable=True) as butler:
            barrier.wait()
            try:
                return action(butler)
            except Exception as error:  # noqa: BLE001  (whatever it is, it is looked at)
                return error

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def tokens(root: str) -> list[str]:
    with Butler.from_config(root) as butler:
        return [found.token for found in certifications(butler, "dark")]


def test_same_certification_at_once_is_done_once(root):
    reports = at_once(root, certify, certify, certify)
    assert sorted(len(report.certified) for report in reports) == [0, 0, 7]
    assert tokens(root) == [DARK] * 6


def test_newer_token_wins_whoever_comes_first(root):
    def bring_newer(butler):
        register(butler, "dark", NEWER_DARK, range(1, 7))
        return certify(butler, "dark", keep=True)

    with Butler.from_config(root, writeable=True) as butler:
        register(butler, "dark", "cal-drk-v3-2025-161", range(1, 7))
        certify(butler, token="cal-drk-v3-2025-161")
    reports = at_once(root, bring_newer, certify)
    assert not [error for error in reports if isinstance(error, Exception)]
    assert tokens(root) == [NEWER_DARK] * 6


def test_certify_and_decertify_at_once_leave_no_part(root):
    for _ in range(3):
        results = at_once(root, certify, lambda butler: decertify(butler, "dark"))
        assert not [error for error in results if isinstance(error, Exception)]
        assert tokens(root) in ([DARK] * 6, [])


def test_contradicting_certifications_at_once_end_with_one_of_them(root):
    with Butler.from_config(root, writeable=True) as butler:
        register(butler, "dark", NEWER_DARK, range(1, 7))
    results = at_once(
        root,
        lambda butler: certify(butler, "dark", token=DARK, begin="2026-01-01"),
        lambda butler: certify(butler, "dark", token=NEWER_DARK, end="2026-02-01"),
    )
    (error,) = [result for result in results if isinstance(result, Exception)]
    assert isinstance(error, ParameterError)
    assert "would take the place of" in str(error)
    assert tokens(root) in ([DARK] * 6, [NEWER_DARK] * 6)

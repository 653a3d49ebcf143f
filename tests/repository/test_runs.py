"""Runs and chains: the release of a product, and chains that find the latest first."""

from __future__ import annotations

import pytest

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.names import parse_product_name
from spherex_butler.repository.runs import chain_of, chain_order, doubt_of, ensure_run, register_run, release_of


def product(token: str):
    return parse_product_name(f"level2_2025W51_1A_0684_2D3_spx_{token}.fits")


@pytest.mark.parametrize(
    ("token", "release"),
    [
        ("l2b-v11-2025-162", "qr1"),
        ("l2b-v12-2025-175", "qr1"),
        ("l2b-v19-2025-210", "qr2"),
        ("l2b-v20-2025-240", "qr2"),
        ("l2b-v25-2026-206", "qr2"),
        ("l2b-v26-2026-300", "qr3"),
        ("l2b_retry-v27-2026-223", "qr3"),
    ],
)
def test_release_follows_from_the_version(token, release):
    assert release_of(product(token)) == release


@pytest.mark.parametrize("path", ["https://host/data/qr3/level2/x.fits", "/data/qr3/level2/x.fits", "qr3/x.fits"])
def test_release_follows_from_the_path_first(path):
    assert release_of(product("l2b-v21-2025-354"), path) == "qr3"


def test_release_given_decides():
    assert release_of(product("l2b-v21-2025-354"), "/qr3/x.fits", "qr1") == "qr1"


def test_unknown_release_is_an_error():
    with pytest.raises(FormatError, match="follows from neither its path nor its token; give release="):
        release_of(product("l2b-v5-2025-354"))


def test_token_without_version_needs_a_release():
    with pytest.raises(FormatError, match="give release="):
        release_of(parse_product_name("dark_D3_spx_base-2025-158.fits"))


@pytest.mark.parametrize("token", ["l2b-v29-2026-300", "l2b_retry-v28-2026-300"])
def test_version_newer_than_all_known_is_doubted(token):
    doubt = doubt_of(product(token))
    version = token.partition("-v")[2][:2]
    assert doubt.startswith(
        f"{token}: version {version} is newer than 27, the newest known of 'l2b', so it is taken for"
    )
    assert "taken for qr3" in doubt
    assert "(--release, release= in Python)" in doubt
    assert doubt_of(product(token), given="qr3") is None
    assert doubt_of(product(token), "/data/qr3/x.fits") is None


@pytest.mark.parametrize("token", ["l2b-v27-2026-230", "l2b-v19-2025-210", "mine-v99-2026-230", "base-2030-100"])
def test_known_and_own_processings_are_not_doubted(token):
    assert doubt_of(product(token)) is None


def test_calibration_newer_than_all_known_is_doubted():
    name = parse_product_name("dark_D3_spx_cal-drk-v9-2027-100.fits")
    assert doubt_of(name).startswith("cal-drk-v9-2027-100: version 9 is newer than 4, the newest known of 'cal-drk'.")
    assert doubt_of(name, "/data/qr3/dark/x.fits") is None


def test_chain_of_unknown_release_is_refused():
    with pytest.raises(ParameterError, match="no release 'qr7'"):
        chain_of("qr7")


def test_chain_keeps_the_newest_first(butler):
    tokens = ["l2b-v20-2025-240", "l2b-v9-2026-300", "l2b-v21-2025-002", "l2b_retry-v21-2025-002", "l2b-v21-2025-300"]
    for token in tokens:
        ensure_run(butler, product(token), "qr2")
    assert butler.collections.get_info("SPHEREx/qr2").children == (
        "spx/l2b-v21-2025-300",
        "spx/l2b_retry-v21-2025-002",
        "spx/l2b-v21-2025-002",
        "spx/l2b-v20-2025-240",
        "spx/l2b-v9-2026-300",
    )


def test_defaults_keep_the_newest_release_first(butler):
    for token, release in (("l2b-v20-2025-240", "qr2"), ("l2b-v27-2026-222", "qr3"), ("l2b-v11-2025-162", "qr1")):
        ensure_run(butler, product(token), release)
    children = butler.collections.get_info("SPHEREx/defaults").children
    assert [child for child in children if child != "SPHEREx/calib"] == ["SPHEREx/qr3", "SPHEREx/qr2", "SPHEREx/qr1"]


def test_collections_of_a_user_keep_their_place_around_the_processings(butler):
    ensure_run(butler, product("l2b-v20-2025-240"), "qr2")
    for name in ("u/second", "u/first", "u/last"):
        butler.collections.register(name)
    butler.collections.prepend_chain("SPHEREx/qr2", ["u/first", "u/second"])
    butler.collections.extend_chain("SPHEREx/qr2", "u/last")
    ensure_run(butler, product("l2b-v21-2025-240"), "qr2")
    assert butler.collections.get_info("SPHEREx/qr2").children == (
        "u/first",
        "u/second",
        "spx/l2b-v21-2025-240",
        "spx/l2b-v20-2025-240",
        "u/last",
    )


def test_new_release_is_searched_behind_what_a_user_put_in_front(butler):
    butler.collections.register("u/me/reprocessed")
    butler.collections.prepend_chain("SPHEREx/defaults", "u/me/reprocessed")
    ensure_run(butler, product("l2b-v20-2025-240"), "qr2")
    ensure_run(butler, product("l2b-v27-2026-222"), "qr3")
    assert butler.collections.get_info("SPHEREx/defaults").children == (
        "u/me/reprocessed",
        "SPHEREx/qr3",
        "SPHEREx/qr2",
        "SPHEREx/calib",
    )


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (["u/x", "u/y"], ["u/x", "u/y"]),
        (["SPHEREx/calib", "SPHEREx/qr2"], ["SPHEREx/qr2", "SPHEREx/calib"]),
        (["SPHEREx/calib", "u/x", "SPHEREx/qr2"], ["SPHEREx/calib", "u/x", "SPHEREx/qr2"]),
        (
            ["u/x", "SPHEREx/calib", "SPHEREx/qr2", "u/y", "SPHEREx/qr3"],
            ["u/x", "SPHEREx/qr3", "u/y", "SPHEREx/qr2", "SPHEREx/calib"],
        ),
        (
            ["spx/l2b-v20-2025-240", "u/x", "spx/l2b-v21-2025-300", "u/y"],
            ["spx/l2b-v21-2025-300", "u/x", "spx/l2b-v20-2025-240", "u/y"],
        ),
    ],
)
def test_order_of_a_chain_is_final(members, expected):
    assert list(chain_order(members)) == expected
    assert list(chain_order(expected)) == expected


@pytest.mark.parametrize(
    ("members", "added", "expected"),
    [
        ("21 u/x 20 u/y", "22", "22 21 u/x 20 u/y"),
        ("22 u/x 20 u/y", "21", "22 u/x 21 20 u/y"),
        ("22 u/x 21 u/y", "20", "22 u/x 21 20 u/y"),
        ("u/x u/y", "20 21", "u/x u/y 21 20"),
        ("u/x 20", "u/z 20", "u/x 20 u/z"),
    ],
)
def test_run_that_is_added_moves_no_collection_of_a_user(members, added, expected):
    def named(text: str) -> list[str]:
        return [f"spx/l2b-v{word}-2025-300" if word.isdigit() else word for word in text.split()]

    assert list(chain_order(named(members), named(added))) == named(expected)


def test_second_registration_changes_nothing(butler):
    ensure_run(butler, product("l2b-v20-2025-240"), "qr2")
    before = butler.collections.get_info("SPHEREx/qr2").children
    assert ensure_run(butler, product("l2b-v20-2025-240"), "qr2") == "spx/l2b-v20-2025-240"
    assert butler.collections.get_info("SPHEREx/qr2").children == before


def test_chain_that_a_kill_left_out_of_the_defaults_is_put_there(butler):
    ensure_run(butler, product("l2b-v20-2025-240"), "qr2")
    butler.collections.remove_from_chain("SPHEREx/defaults", "SPHEREx/qr2")
    ensure_run(butler, product("l2b-v20-2025-240"), "qr2")
    assert "SPHEREx/qr2" in butler.collections.get_info("SPHEREx/defaults").children


def test_run_that_comes_in_while_a_chain_is_ordered_stays(butler, monkeypatch):
    ensure_run(butler, product("l2b-v20-2025-240"), "qr2")
    kind = type(butler.collections)
    prepend, others = kind.prepend_chain, ["spx/l2b-v22-2025-300"]

    def prepend_after_another(self, parent, children):
        while others:
            butler.collections.register(others[0])
            prepend(self, parent, others.pop())
        prepend(self, parent, children)

    monkeypatch.setattr(kind, "prepend_chain", prepend_after_another)
    ensure_run(butler, product("l2b-v21-2025-240"), "qr2")
    assert butler.collections.get_info("SPHEREx/qr2").children == (
        "spx/l2b-v22-2025-300",
        "spx/l2b-v21-2025-240",
        "spx/l2b-v20-2025-240",
    )


def test_run_is_registered_whole_or_not_at_all(butler, monkeypatch):
    database = butler._registry._db
    sync = type(database).sync

    def interrupted(self, table, **options):
        if table.name == "run":
            raise KeyboardInterrupt
        return sync(self, table, **options)

    with monkeypatch.context() as patched:
        patched.setattr(type(database), "sync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            register_run(butler, "spx/l2b-v21-2025-354")
    assert butler.collections.query("spx/*") == []
    register_run(butler, "spx/l2b-v21-2025-354", "again")
    assert butler.collections.get_info("spx/l2b-v21-2025-354").doc == "again"

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.bench_peers import Kind, Result, kinds, measure, notes, svg, table, verdict
from benchmarks.peers.environments import (
    BEAM,
    BY_HAND,
    EXPLORERS,
    OURS,
    PEERS,
    REQUIREMENTS,
    Peer,
    PeerFailed,
    Server,
    commands,
    serving,
)
from benchmarks.peers.serve import ROWS

CALL = Kind("call", "call", clients=1, count=500, instead="call_async")


def command(peer: Peer) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.serve", peer.name]


def program(text: str) -> list[str]:
    """A peer that is this program."""
    return [sys.executable, "-c", text]


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    server = Server(OURS, command(OURS))
    yield server
    server.close()


def test_ours_has_every_row(ours: Server) -> None:
    assert ours.rows == set(ROWS) == {kind.row for kind in kinds(10)}


@pytest.mark.parametrize("kind", kinds(10), ids=lambda kind: kind.title)
def test_every_row_can_be_measured_of_ours_and_of_trio_by_hand(kind: Kind, ours: Server) -> None:
    extra = (kind.clients,) if kind.clients else ()
    with serving({BY_HAND: command(BY_HAND)}, {}) as servers:
        for server in (ours, servers[BY_HAND]):
            row = kind.row if kind.row in server.rows else kind.instead
            cost = server.measure(row, kind.count or 500, *extra)
            # Ten servers may fit into memory that the process has already.
            assert cost > 0 or kind.row == "memory"


def test_a_peer_that_fails_says_why_and_can_be_asked_again(ours: Server) -> None:
    with pytest.raises(PeerFailed, match=r"trio_genserver: no_such: AttributeError"):
        ours.measure("no_such", 1)
    assert ours.measure("call", 500, 1) > 0


def test_a_peer_that_cannot_be_imported_is_missing_with_the_reason() -> None:
    missing: dict[Peer, str] = {}
    nobody = Peer("nobody", "nobody", "nobody")
    with serving({nobody: command(nobody)}, missing) as servers:
        assert servers == {}
    assert missing == {nobody: "it ended: ModuleNotFoundError: No module named 'benchmarks.peers.nobody'"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("input()", "it ended"),
        ("while input(): print('error ValueError: no', flush=True)", "call: ValueError: no"),
    ],
)
def test_a_peer_that_fails_in_a_row_is_left_out_of_it_and_the_row_stands(
    text: str, why: str, ours: Server
) -> None:
    failing = Peer("failing", "failing", "failing")
    failures: list[str] = []
    ready = "print('ready 1.0 call', flush=True)\n"
    with serving({failing: program(ready + text)}, {}) as servers:
        everybody = {OURS: ours, failing: servers[failing]}
        result = measure(CALL, everybody, {}, 1, failures)
    assert result is not None
    assert list(result.samples) == [OURS.title]
    assert failures
    assert all(failure.startswith(f"failing: {why}") for failure in failures)


def test_what_has_no_plain_handler_is_measured_with_the_one_that_it_has(ours: Server) -> None:
    with serving({BY_HAND: command(BY_HAND)}, {}) as servers:
        result = measure(CALL, {OURS: ours, **servers}, {}, 1, [])
        coroutines = Kind("coroutine", "call_async", clients=1, count=500)
        alike = measure(coroutines, {OURS: ours, **servers}, {}, 1, [])
    assert result is not None
    assert alike is not None
    assert set(result.samples) == set(alike.samples) == {OURS.title, BY_HAND.title}


def test_which_environments_are_missing_is_said_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "casty.failed").write_text("ERROR: No matching distribution found for casty", "utf-8")
    (tmp_path / "pykka" / "bin").mkdir(parents=True)
    (tmp_path / "pykka" / "bin" / "python").touch()
    there, missing = commands(tmp_path)
    told = {peer.name: why for peer, why in missing.items()}
    assert told["casty"] == "does not install here: ERROR: No matching distribution found for casty"
    assert told["ours"] == "no environment; make it with `make peers`"
    assert [peer.name for peer in there if peer is not BEAM] == ["pykka"]


def test_every_peer_has_a_module_and_pinned_requirements_with_hashes_and_no_addresses() -> None:
    for environment in {peer.environment for peer in PEERS if peer.environment} | {EXPLORERS}:
        text = (REQUIREMENTS / f"{environment}.txt").read_text("utf-8")
        pins = [line for line in text.splitlines() if "==" in line]
        assert pins
        assert text.count("--hash=sha256:") >= len(pins)
        assert "://" not in text
    for peer in PEERS:
        if peer.environment:
            assert Path(REQUIREMENTS.parents[1], "benchmarks", "peers", f"{peer.name}.py").exists()


RESULTS = [
    Result(kinds(10)[0], {OURS.title: [2.0], BY_HAND.title: [1.0], "a": [8.0], BEAM.title: [1.0]}),
    Result(kinds(10)[4], {OURS.title: [2.0], "a": [1.0], "b": [500.0]}),
]


def test_where_a_python_library_is_ahead_is_said_and_shown_bold() -> None:
    assert verdict(RESULTS) == (
        "Ahead of every Python library in 1 of 2 rows. Behind in cast, until handled: a (0.50 of ours)."
    )
    assert table(RESULTS, [BY_HAND.title, "a", "b", BEAM.title], ratios=True).splitlines()[2:] == [
        "| call, 1 client | 0.5 | 4 |  | 0.5 |",
        "| cast, until handled |  | **0.50** | 250 |  |",
    ]
    assert table(RESULTS, [OURS.title, "a"], ratios=False).splitlines()[2:] == [
        "| call, 1 client | us | 2 | 8 |",
        "| cast, until handled | us | 2 | 1 |",
    ]


def test_the_chart_is_well_formed_and_says_each_ratio_once() -> None:
    chart = ElementTree.fromstring(svg(RESULTS, "they & we"))
    texts = [each.text for each in chart.iter() if each.text]
    assert {"they & we", "ours", "250", "0.5"} <= set(texts)
    assert texts.count("a") == 2


def test_the_notes_name_who_is_missing_and_what_was_left_out() -> None:
    text = notes({}, {PEERS[3]: "does not install here: ERROR"}, ["a: b", "a: b"])
    assert text == "- casty is missing: does not install here: ERROR\n- Left out: a: b\n"

from __future__ import annotations

import ast
import sys

import pytest
import trio

import trio_genserver
from benchmarks import bench_hooks
from benchmarks.harness import Row
from benchmarks.without_hooks import KEPT, MUST_HAVE, PACKAGE, UnknownShape, plain_copy, strip, without_hooks


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("if self.hooks.message_sent:\n    tell()", ""),
        ("if hooks.messages:\n    a()\nelse:\n    b()", "b()"),
        ("if a and (not p.hooks.messages) and b:\n    c()", "if a and b:\n    c()"),
        ("if a and (not p.hooks.messages):\n    c()", "if a:\n    c()"),
        ("if a is None and p.hooks.message_sent:\n    c()", ""),
        ("if a or p.hooks.message_sent:\n    c()", "if a:\n    c()"),
        ("if not p.hooks.messages:\n    a()", "a()"),
        ("if a:\n    if p.hooks.messages:\n        b()", "if a:\n    pass"),
        ("def f():\n    if p.hooks.messages:\n        b()", "def f():\n    pass"),
        ("async def f():\n    if p.hooks.messages:\n        b()", "async def f():\n    pass"),
        ("hooks = self.process.hooks\nself.hooks = current_hooks()\na()", "a()"),
        ("self.data: None = None\nself.data = None\nother.data = None", "other.data = None"),
    ],
)
def test_a_test_of_a_hook_is_taken_as_false_and_nothing_else_changes(source: str, left: str) -> None:
    tree, _ = strip(source, "module.py")
    assert ast.unparse(tree) == left


def test_what_has_to_be_evaluated_is_evaluated_still() -> None:
    source = "if ask() and p.hooks.messages:\n    a()"
    assert ast.unparse(strip(source, "module.py")[0]) == "if ask() and False:\n    a()"


@pytest.mark.parametrize(
    "source",
    [
        "self.hooks.tell('message_sent')",
        "if self.hooks.a_new_flag:\n    a()",
        "hooks = find()",
        "if any(self.hooks.derived):\n    a()",
        "def f(hooks):\n    hooks.tell()",
        "x = current_hooks()",
    ],
)
def test_a_use_of_the_hooks_in_an_unknown_shape_is_an_error_that_says_where(source: str) -> None:
    with pytest.raises(UnknownShape, match=r"^module\.py:\d+: .* is left") as caught:
        strip(f"\n{source}", "module.py")
    assert (caught.value.module, caught.value.line >= 2) == ("module.py", True)


def test_a_module_that_must_have_hooks_and_has_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.without_hooks.MUST_HAVE", {"_errors.py"})
    with pytest.raises(UnknownShape, match=r"_errors\.py:0: no test of a hook"), without_hooks():
        pass


def test_every_hook_of_the_package_is_cut_out_and_the_path_of_a_message_had_some() -> None:
    cut = {
        path.name: strip(path.read_text("utf-8"), path.name)[1]
        for path in PACKAGE.glob("*.py")
        if path.name not in KEPT
    }
    assert all(cut[module] for module in MUST_HAVE)


async def test_without_hooks_no_instrument_hears_anything_and_a_plain_copy_tells_all() -> None:
    for copied, heard in ((without_hooks, []), (plain_copy, ["sent", "sent"])):
        with copied() as package:

            class Ear(package.instruments.Instrument):  # type: ignore[misc,name-defined]  # a module made at run time
                def __init__(self) -> None:
                    self.heard: list[str] = []

                def message_sent(self, server: object, envelope: object) -> None:
                    self.heard.append("sent")

            ear = Ear()
            package.instruments.add_instrument(ear)
            server = bench_hooks.counter(package)
            async with package.open_server(server) as ref:
                assert await ref.call(server.increment(2)) == 2
                ref.cast_nowait(server.add(3))
                await trio.testing.wait_all_tasks_blocked()
            assert ear.heard == heard
            assert ref.__class__ is not trio_genserver.ServerRef
        assert not [name for name in sys.modules if name.startswith(package.__name__)]


def test_the_rows_take_part_in_the_same_turns() -> None:
    samples = bench_hooks.measure(1, backwards=True)
    assert list(samples) == ["cast_nowait", "call, sync handler", "call, async handler"]
    for name, columns in samples.items():
        assert {len(values) for values in columns.values()} == {1}
        row = Row(name, "us", columns, bench_hooks.COPY, bench_hooks.CUT, 1.02, digits=3)
        assert row.ratio > 0

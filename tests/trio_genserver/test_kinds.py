"""The kinds of servers of the package: `..._spec` and `open_...` take the same, and help shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import trio_genserver
from trio_genserver import ChildSpec, GenServer, InvalidSpec, ServerRef, agents, pools, supervision, tasks

KINDS = [
    "agent",
    "checkout_pool",
    "dynamic_supervisor",
    "partition_supervisor",
    "supervisor",
    "task_supervisor",
]


DOORS = [trio_genserver, agents, pools, supervision, tasks]


class Idle(GenServer):
    """Does nothing."""


ARGUMENTS: dict[str, dict[str, Any]] = {
    "agent": {"initial": list},
    "checkout_pool": {"worker": Idle, "size": 1},
    "partition_supervisor": {"child": trio_genserver.child_spec(Idle), "partitions": 1},
}


def public(name: str) -> Any:
    return next(getattr(room, name) for room in DOORS if name in room.__all__)


def both(kind: str) -> tuple[Callable[..., ChildSpec[Any]], Callable[..., Any]]:
    return public(f"{kind}_spec"), public(f"open_{kind}")


def test_every_kind_that_is_opened_is_here() -> None:
    names = {name for room in DOORS for name in room.__all__}
    opened = {name.removeprefix("open_") for name in names if name.startswith("open_")}
    assert opened - {"server"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_opened_with_the_arguments_of_its_specification(kind: str) -> None:
    make_spec, opened = both(kind)
    signature = inspect.signature(opened)
    assert signature.parameters == inspect.signature(make_spec).parameters
    assert {"id", "name"} < set(signature.parameters)
    assert "Ref" in signature.return_annotation
    assert opened.__name__ == f"open_{kind}"
    # Some editors show the docstring of the one for the other.
    assert f"or for a block (`open_{kind}`)" in (make_spec.__doc__ or "")
    assert f"`{kind}_spec`" in (opened.__doc__ or "")
    assert inspect.getmodule(opened) is inspect.getmodule(make_spec)


@pytest.mark.parametrize("kind", KINDS)
def test_a_specification_takes_what_the_class_takes_and_an_id_and_a_name(kind: str) -> None:
    kind_class = public(kind.title().replace("_", ""))
    of_class = list(inspect.signature(kind_class).parameters.values())
    of_spec = list(inspect.signature(both(kind)[0]).parameters.values())
    assert [(p.name, p.kind, p.default) for p in of_class] == [
        (p.name, p.kind, p.default) for p in of_spec if p.name not in ("id", "name")
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_of_each_kind_has_the_name_that_it_was_opened_with(kind: str) -> None:
    make_spec, opened = both(kind)
    arguments = ARGUMENTS.get(kind, {})
    ref: ServerRef[Any]
    async with opened(**arguments, name="x") as ref, opened(**arguments) as unnamed:
        assert ref.name == "x"
        assert unnamed.name == make_spec(**arguments).id
    spec = make_spec(**arguments, id=3, name="y")
    assert (spec.id, spec.name) == (3, "y")
    assert make_spec(**arguments, id=3).name == "3"


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_argument_is_an_error_where_it_is_written(kind: str) -> None:
    for function in both(kind):
        with pytest.raises(InvalidSpec, match="name"):
            function(**ARGUMENTS.get(kind, {}), name="")
        with pytest.raises(TypeError, match=f"{kind}_spec.*strategies"):
            function(**ARGUMENTS.get(kind, {}), strategies=1)

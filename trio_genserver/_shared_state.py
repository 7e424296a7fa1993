"""Which objects tasks share, and which task is whose: for tools that must know what steps have in common.

A part of the instrument interface. An `Instrument` is told of messages; but a simulator that leaves out the
interleavings that make no difference has to know of every look at a server, `ServerRef.is_running` included,
and must not change the way that a call takes. So it watches attributes, and this says of which classes, and
what stands for what they hold.

Every class of the package whose instances change is named here; a test goes through them.

The package has this function also as ``__shared_state__``, the name by which a tool finds it in any library
without knowing the library: see docs/decisions/a-library-declares-what-tasks-share.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ._amap import _Results, _Slot
from ._checkout_pool import _Worker
from ._children import Child as ChildTask
from ._children import ChildTasks, OwnTask
from ._debug import Debug
from ._hooks import Hooks
from ._mailbox import Mailbox
from ._monitor import Monitor
from ._pool import _Pool
from ._process import Process
from ._ref import ServerRef
from ._registry import BaseRegistry, _KeyLock
from ._request import Countdown, Info, Request
from ._request_collection import as_completed
from ._server import GenServer
from ._supervision import Child, SupervisorProcess
from ._task import Job, _Work

__all__ = ["SharedState", "shared_state"]

_NOTHING: frozenset[str] = frozenset()


class SharedState(NamedTuple):
    """A class whose instances tasks share: whatever looks at an attribute of one, or sets it, touches what
    stands for it.

    Attributes:
      owner: the class; its subclasses are meant too.
      kind: what that is, for the reader: ``"server"``, ``"registry"`` ...
      of: from an instance to the object that stands for it; the same for all that touch the same server.
        None: instances never change, and are only named for what they carry.
      is_it: whether an instance is that object, made with it.
      is_one: whether a Trio run has only one of it, whoever needs it first and so makes it.
      fixed: attributes that never change after an instance was made, so that a look touches nothing.
      cells: attributes that are replaced and never changed in place, so that a look only reads.
      looks: methods and properties that change nothing and call nothing of the user's that may, so that all
        they touch they only read.
      carries: attributes that hold what one task sends to another.
      task: the name of the method that is a server's own task, every step of which touches it; None: there is
        none.
      server: from an instance to the server that it stands for in a wait; None: it stands for none.
      crash: from an instance that has a `task` and an error: make the server crash with it, as if a child
        task of its own had raised it.
      alive: from such an instance: false when it has begun to end, so that there is nothing left to crash.
      supervises: from such an instance: whether it is a supervisor, which runs none of its user's code.
    """

    owner: type
    kind: str
    of: Callable[[Any], object] | None
    is_it: bool = False
    is_one: bool = False
    fixed: frozenset[str] = _NOTHING
    cells: frozenset[str] = _NOTHING
    looks: frozenset[str] = _NOTHING
    carries: frozenset[str] = _NOTHING
    task: str | None = None
    server: Callable[[Any], object] | None = None
    crash: Callable[[Any, BaseException], None] | None = None
    alive: Callable[[Any], bool] | None = None
    supervises: Callable[[Any], bool] | None = None


def shared_state() -> tuple[SharedState, ...]:
    """Every class of this package that touches what tasks share."""
    return (
        SharedState(
            Process,
            "server",
            _itself,
            is_it=True,
            fixed=frozenset({"spec", "ref", "_ref", "handlers", "supervised"}),
            task="run",
            server=_itself,
            crash=_crash,
            alive=_alive,
            supervises=_supervises,
        ),
        SharedState(GenServer, "server", _own_process),
        SharedState(
            Request,
            "server",
            _process_of,
            fixed=frozenset({"message", "process", "label", "handler", "name", "callers"}),
            carries=frozenset({"message"}),
            server=_process_of,
        ),
        SharedState(
            ChildTask,
            "server",
            _process_of,
            fixed=frozenset({"process", "handler", "message"}),
            carries=frozenset({"message"}),
        ),
        SharedState(
            OwnTask, "server", _process_of, fixed=frozenset({"process"}), carries=frozenset({"args"})
        ),
        SharedState(Job, "job", None, carries=frozenset({"args"})),
        SharedState(ChildTasks, "server", _process_of, fixed=frozenset({"process"})),
        SharedState(_Work, "server", _own_process, fixed=frozenset({"_name", "_process"})),
        SharedState(Debug, "server", _own_process),
        # The children of a supervisor, and the workers of a pool, are its state.
        SharedState(Child, "server", _supervisor_of, fixed=frozenset({"supervisor", "spec", "ref"})),
        SharedState(_Worker, "server", _pool_of, fixed=frozenset({"pool", "process", "ref"})),
        # The target of a reference changes with a restart.
        SharedState(
            ServerRef,
            "reference",
            _itself,
            is_it=True,
            # No task sees its log records, so their order does not matter.
            fixed=frozenset({"name", "registry", "key", "value", "_child_refs", "_records"}),
            cells=frozenset({"_process"}),
            server=_behind,
        ),
        SharedState(
            BaseRegistry,
            "registry",
            _itself,
            is_it=True,
            fixed=frozenset({"name"}),
            looks=frozenset(
                {
                    *("__len__", "__iter__", "__contains__", "__getitem__", "__repr__"),
                    # Not `count`: what it is given may do more than look.
                    *("entries", "keys_of", "lookup", "value", "_holder"),
                }
            ),
        ),
        SharedState(_KeyLock, "key lock", _itself, is_it=True, fixed=frozenset({"lock"})),
        SharedState(Monitor, "monitor", _itself, is_it=True, fixed=frozenset({"ref"})),
        SharedState(Mailbox, "mailbox", _itself, is_it=True, fixed=frozenset({"capacity"})),
        SharedState(
            Info,
            "message",
            _itself,
            is_it=True,
            fixed=frozenset({"message", "data"}),
            carries=frozenset({"message"}),
        ),
        SharedState(Countdown, "wait", _itself, is_it=True),
        SharedState(as_completed, "wait", _itself, is_it=True),
        SharedState(_Results, "results", _itself, is_it=True),
        SharedState(_Slot, "result", _itself, is_it=True, fixed=frozenset({"done"})),
        SharedState(
            _Pool, "pool", _itself, is_it=True, fixed=frozenset({"workers"}), cells=frozenset({"_turn"})
        ),
        SharedState(
            Hooks,
            "instruments",
            _of_the_run,
            is_one=True,
            fixed=frozenset({"parent"}),
            cells=frozenset(Hooks.__slots__),
        ),
    )


def _itself(instance: Any) -> object:
    return instance


def _process_of(instance: Any) -> object:
    return instance.process


def _own_process(instance: Any) -> object:
    return instance._process


def _supervisor_of(child: Child) -> object:
    return child.supervisor


def _pool_of(worker: _Worker) -> object:
    return worker.pool._process


def _of_the_run(installed: Hooks) -> object:
    return installed if installed.parent is None else installed.parent


def _crash(process: Process, error: BaseException) -> None:
    process.crashed(error, None)


def _alive(process: Process) -> bool:
    return process.alive


def _supervises(process: Process) -> bool:
    return isinstance(process, SupervisorProcess)


def _behind(ref: ServerRef[Any]) -> object:
    try:
        return ref._process
    except Exception:  # noqa: BLE001 - a name that nobody has; the call that is noted will raise it again
        return ref

"""Whose a cancel scope is: that tells who could cancel it.

In Trio a scope is cancelled by somebody who holds it, or by its deadline. Nobody holds the one inside
`trio.sleep`, or the nursery that a library has opened for itself. So each scope is noted as it is entered,
with the code that entered it: the frame that called, looked through what merely hands the call on
(`contextlib`, nursery managers, anyio's wrappers of both). Only explorations with faults that need to know
are watched.
"""

from __future__ import annotations

import contextlib
import dis
import enum
import functools
import inspect
import math
import weakref
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final, cast

import trio

from sim._run.libraries import declares
from sim._run.trace import is_machinery, place
from sim._trio import running_task
from sim._world.escapes import belongs_to_the_run

_SCOPE: Any = trio.CancelScope

# The functions that turn a cancellation into an error saying that time is up.
_FAILING: Final = frozenset({"fail_after", "fail_at"})
# Modules whose frames stand between a scope and who has opened it.
_WRAPPERS: Final = ("sim._kernel.", "sim._dependence.")
_TIMEOUTS: Final = _FAILING | {"move_on_after", "move_on_at"}
# From the constructor of a scope up to one of these: attrs, our own wrapper, and three frames of anyio.
_MOST_FRAMES: Final = 10


class Owner(enum.Enum):
    PROGRAM = "the program"
    LIBRARY = "a package that the program uses"
    MACHINERY = "Trio, the standard library, or the simulator"


@dataclass(slots=True)
class Opening:
    """How a scope was opened.

    Attributes:
        owner: whose code has.
        task: who has.
        where: the line, as in traces.
        nursery: it is the scope of a nursery.
        fails: it is part of a `trio.fail_after`.
        unheld: it is a timeout that the program has kept no reference to.
        within: the async generators of context managers that had not yielded yet, and that the scope spans.
            No task holds the objects that they open before they yield.
    """

    owner: Owner
    task: Any
    where: str
    nursery: bool
    fails: bool
    unheld: bool
    within: list[Any]

    @property
    def is_given_out(self) -> bool:
        """Whether those for whom it was opened have got it: a context manager has yielded, a task that is
        being started has said that it is."""
        if self.within:
            self.within = [generator for generator in self.within if generator.ag_running]
        return not self.within and self.task._eventual_parent_nursery is None


class Scopes:
    """The scopes that are open in the execution under way.

    Args:
        package: the top-level package of the scenario: the program's, also if it is installed.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self._noting = False
        self._open: dict[Any, Opening] = {}
        # Scopes with no deadline that were made by what makes timeouts.
        self._timeouts: weakref.WeakSet[Any] = weakref.WeakSet()
        self._owners: dict[CodeType, Owner] = {}
        self._unbound: dict[tuple[CodeType, int], bool] = {}

    def begin_execution(self) -> None:
        """None is open."""
        self._noting = True
        self._open.clear()

    def stop(self) -> None:
        """Nothing else in this execution will ask."""
        self._noting = False
        self._open.clear()

    def __iter__(self) -> Iterator[tuple[Any, Opening]]:
        """Those that are open, in the order in which they were entered."""
        over = [scope for scope in self._open if scope._cancel_status is None]
        for scope in over:
            del self._open[scope]
        return iter(self._open.items())

    def opening(self, scope: Any) -> Opening | None:
        """How a scope was opened; None if that is not known."""
        return self._open.get(scope)

    @contextlib.contextmanager
    def watched(self) -> Generator[None]:
        """Note what is opened, until the block ends."""
        enter, made = _SCOPE.__enter__, _SCOPE.__attrs_post_init__

        @functools.wraps(enter)
        def entered(scope: Any) -> Any:
            result = enter(scope)
            if self._noting and belongs_to_the_run():
                self._note(scope, inspect.currentframe())
            return result

        # As what it stands for is: an interrupt between the two would leave a scope that nobody exits.
        trio.lowlevel.enable_ki_protection(cast("Any", entered))

        @functools.wraps(made)
        def was_made(scope: Any) -> None:
            made(scope)
            if (
                self._noting
                and scope._deadline == scope._relative_deadline == math.inf
                and _is_in_timeout(inspect.currentframe())
            ):
                self._timeouts.add(scope)

        _SCOPE.__enter__, _SCOPE.__attrs_post_init__ = entered, was_made
        try:
            yield
        finally:
            _SCOPE.__enter__, _SCOPE.__attrs_post_init__ = enter, made

    def _note(self, scope: Any, frame: FrameType | None) -> None:
        nursery = fails = False
        while frame is not None and (passed := _passed_on(frame)) is not None:
            nursery = nursery or passed == "nursery"
            fails = fails or passed == "fails"
            frame = frame.f_back
        if frame is None:
            return
        timeout = scope._deadline < math.inf or scope in self._timeouts
        self._open[scope] = Opening(
            self._owner(frame),
            running_task(),
            place(frame, frame.f_lineno),
            nursery,
            fails,
            timeout and not nursery and self._is_unbound(frame),
            _generators_spanned(frame),
        )

    def _owner(self, frame: FrameType) -> Owner:
        code = frame.f_code
        owner = self._owners.get(code)
        if owner is None:
            owner = self._owners[code] = self._find_owner(frame)
        return owner

    def _find_owner(self, frame: FrameType) -> Owner:
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        if top in ("trio", "sim") or is_machinery(frame):
            return Owner.MACHINERY
        if top == self._package:
            return Owner.PROGRAM
        path = frame.f_code.co_filename
        if declares(top) or "site-packages" in path or "dist-packages" in path:
            return Owner.LIBRARY
        return Owner.PROGRAM

    def _is_unbound(self, frame: FrameType) -> bool:
        """Whether a frame has made the scope in a ``with`` statement that gives it no name."""
        key = frame.f_code, frame.f_lasti
        found = self._unbound.get(key)
        if found is None:
            found = self._unbound[key] = _drops_what_it_enters(*key)
        return found


def covers(scope: Any, task: Any) -> bool:
    """Whether a task is inside a scope, behind shields or not."""
    return task._cancel_status is not None and bool(scope._cancel_status.encloses(task._cancel_status))


def seen_by(task: Any) -> Iterator[Any]:
    """The scopes whose deadlines could cancel a task where it is, from the inside out."""
    status = task._cancel_status
    while status is not None:
        scope = status._scope
        if scope._cancel_called:
            return
        yield scope
        if scope._shield:
            return
        status = status._parent


def _passed_on(frame: FrameType) -> str | None:
    """The kind of frame that enters a scope on behalf of its caller; None if it does so for itself."""
    module, name = str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
    if module == "contextlib" or module.startswith(_WRAPPERS):
        return "contextlib"
    if module == "trio._core._run" and name == "__aenter__":
        return "nursery"
    if module.startswith("anyio._backends.") and name in {"__enter__", "__aenter__"}:
        return "wrapper"
    if name in _FAILING and module in {"trio._timeouts", "anyio._core._tasks"}:
        return "fails"
    return None


def _is_in_timeout(frame: FrameType | None) -> bool:
    """Whether a scope is made by one of the functions that make timeouts, Trio's or anyio's."""
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return False
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(("trio.", "anyio.")):
            if frame.f_code.co_name in _TIMEOUTS:
                return True
        elif not module.startswith(_WRAPPERS) and not frame.f_code.co_filename.startswith("<attrs"):
            return False
        frame = frame.f_back
    return False


def _generators_spanned(frame: FrameType | None) -> list[Any]:
    """The async context managers that are being entered, and inside whose blocks a scope remains that a frame
    opens: a generator's, and that of a generator which is entering it, and so on."""
    found: list[Any] = []
    while frame is not None and frame.f_code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        caller = frame.f_back
        if caller is None or caller.f_globals.get("__name__") != "contextlib":
            break
        if caller.f_code.co_name == "__aenter__":
            found.append(caller.f_locals["self"].gen)
        elif caller.f_code.co_name != "__enter__":
            break
        while caller is not None and caller.f_globals.get("__name__") == "contextlib":
            caller = caller.f_back
        frame = caller
    return found


def _drops_what_it_enters(code: CodeType, last: int) -> bool:
    before, after = _neighbours(code, last)
    # Made on the spot, not a variable's; and what entering it has returned is thrown away.
    return before.startswith("CALL") and after == "POP_TOP"


def _neighbours(code: CodeType, last: int) -> tuple[str, str]:
    """The names of the instructions around one that calls ``__enter__``."""
    before = ""
    instructions = dis.get_instructions(code)
    for instruction in instructions:
        if instruction.offset >= last:
            break
        if instruction.opname not in {"PRECALL", "CACHE", "EXTENDED_ARG", "COPY", "SWAP", "LOAD_SPECIAL"}:
            before = instruction.opname
    return before, next((instruction.opname for instruction in instructions), "")

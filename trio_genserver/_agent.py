"""`Agent`: some state behind a server, read and changed by functions (Elixir's ``Agent``).

For state that is shared and small, when handlers of its own would be more words than the state is worth.
The functions run in the agent, one at a time, so each sees what the one before it has left. They should be
quick: while one runs, nobody else gets to the state. Where the state has a life or rules of its own, write
a `GenServer`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from ._child_spec import child_spec, identified
from ._decorators import handle_call, handle_cast
from ._moved import renamed
from ._ref import ServerRef
from ._server import GenServer
from ._spec import ChildSpec
from ._start import open_server, takes_arguments_of
from ._text import show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = ["Agent", "AgentRef", "agent_spec", "open_agent"]

T = TypeVar("T")
R = TypeVar("R")

if TYPE_CHECKING:
    # The meaning of a bare `Agent`. At run time, where Python 3.11 has no defaults, it does not matter.
    from typing_extensions import TypeVar as TypeVarWithDefault

    T_any = TypeVarWithDefault("T_any", default=Any)
else:
    T_any = TypeVar("T_any")


class AgentRef(ServerRef[Any], Generic[T]):
    """A reference to an `Agent`, with what can be done with its state.

    All functions run in the agent. If one raises, the agent crashes: its caller gets `ServerCrashed` with the
    exception as the ``__cause__``, and a supervisor restarts the agent with its first state. To fail without
    a crash, return the error.
    """

    __slots__ = ()

    async def get(self, fn: Callable[[T], R]) -> R:
        """``fn(state)``. It is the state itself, no copy: not to be changed, nor kept if it is mutable.

        Raises:
          ServerError: as `ServerRef.call`.
        """
        return cast("R", await self.call(Agent.get(fn)))

    async def update(self, fn: Callable[[T], T]) -> None:
        """Replace the state by ``fn(state)``.

        Raises:
          ServerError: as `ServerRef.call`.
        """
        await self.call(Agent.update(fn))

    async def get_and_update(self, fn: Callable[[T], tuple[R, T]]) -> R:
        """``fn(state)`` says what to return, and what the state is from now on.

        Raises:
          ServerError: as `ServerRef.call`; `fn` returned no pair.
        """
        return cast("R", await self.call(Agent.get_and_update(fn)))

    async def cast_update(self, fn: Callable[[T], T]) -> None:
        """`update`, without waiting for it; it waits only for room in the mailbox, as `ServerRef.cast`."""
        await self.cast(Agent.cast_update(fn))


class Agent(GenServer, Generic[T_any]):
    """A server that keeps one value. Start it with `open_agent`, or in a tree with `agent_spec`.

    Args:
      initial: called in the agent, at each start and restart; what it returns is the first state.
    """

    _ref_class: ClassVar[type[ServerRef[Any]] | None] = AgentRef
    if TYPE_CHECKING:

        @property
        def ref(self) -> AgentRef[T_any]: ...

    def __init__(self, initial: Callable[[], T_any]) -> None:
        self.state = initial()

    @handle_call
    def get(self, fn: Callable[[Any], Any]) -> Any:
        """See `AgentRef.get`."""
        return fn(self.state)

    @handle_call
    def update(self, fn: Callable[[Any], Any]) -> None:
        """See `AgentRef.update`."""
        self.state = fn(self.state)

    @handle_call
    def get_and_update(self, fn: Callable[[Any], tuple[Any, Any]]) -> Any:
        """See `AgentRef.get_and_update`."""
        pair = fn(self.state)
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise TypeError(
                f"the function of get_and_update must return a pair (result, new state), not {show(pair)}"
            )
        reply, self.state = pair
        return reply

    @handle_cast
    def cast_update(self, fn: Callable[[Any], Any]) -> None:
        """See `AgentRef.cast_update`."""
        self.state = fn(self.state)

    run = renamed(get)
    replace = renamed(update)
    run_and_replace = renamed(get_and_update)
    replace_later = renamed(cast_update)


def agent_spec(
    initial: Callable[[], T], *, id: object = "Agent", name: str | None = None
) -> ChildSpec[Agent[T]]:
    """An agent as the child of a supervisor, or for a block (`open_agent`).

    Its reference is an `AgentRef`.

    Args:
      initial: what returns the first state.
      id: what the supervisor above knows it by.
      name: what the agent is called in errors and logs; by default its id.
    """
    return identified(child_spec(Agent[T], initial), id, name)


@takes_arguments_of(agent_spec)
def open_agent(spec: ChildSpec[Agent[T]]) -> AbstractAsyncContextManager[AgentRef[T]]:
    """Run an agent for as long as the block: ``async with open_agent(dict) as cache:``.

    It takes the arguments of `agent_spec`.

    Raises:
      Exception: what `initial` raised.
    """
    return open_server(spec)

"""`PartitionSupervisor`: the same server several times over, each key always served by the same one.

Splits work by key where one server would be a bottleneck: shards of a database, caches, counters. The caller
itself finds the partition of a key (`PartitionSupervisorRef.worker_for`), so that nothing stands between
caller and server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from ._child_spec import checked_spec, identified, unsubscripted
from ._decorators import handle_call
from ._moved import renamed
from ._pool import stable_hash
from ._ref import ServerRef
from ._server import GenServer
from ._signals import Refuse
from ._spec import ChildSpec, InvalidSpec
from ._start import open_server, takes_arguments_of
from ._supervisor import ChildrenByIdRef, Supervisor
from ._supervisor_errors import ChildError
from ._text import show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "NoPartitions",
    "PartitionSupervisor",
    "PartitionSupervisorRef",
    "open_partition_supervisor",
    "partition_supervisor_spec",
]

S = TypeVar("S", bound="GenServer")

if TYPE_CHECKING:
    # The meaning of a bare `PartitionSupervisor`. At run time, where Python 3.11 has no defaults, it does not
    # matter.
    from typing_extensions import TypeVar as TypeVarWithDefault

    S_any = TypeVarWithDefault("S_any", bound=GenServer, default=Any)
else:
    S_any = TypeVar("S_any", bound=GenServer)

OF = "a partition supervisor"


class NoPartitions(ChildError):
    """The supervisor was resized to no partitions at all, so there is none for a key."""

    def __init__(self, server: str, key: object) -> None:
        super().__init__(
            f"{server} has no partitions now, so none for {show(key)}; resize it first",
            server=server,
            child=key,
        )


class PartitionSupervisorRef(ChildrenByIdRef[Any], Generic[S]):
    """A reference to a `PartitionSupervisor`: finds the partition of a key."""

    __slots__ = ()

    @property
    def partitions(self) -> int:
        """How many partitions there are. They are numbered from 0, and that is their id.

        Raises:
          ServerNotRunning: the supervisor is not running.
        """
        self._table("partitions")
        return self._supervisor.partitions

    def child(  # type: ignore[override]  # all of its children are of one class
        self, partition: object, server_class: Any = None, /
    ) -> ServerRef[S]:
        """The server of one partition, by its number; otherwise as `SupervisorRef.child`.

        Raises:
          ChildNotFound: there is no such partition.
          ServerNotRunning: the supervisor is not running.
        """
        return cast("ServerRef[S]", super().child(partition, server_class))

    if TYPE_CHECKING:

        def worker(self, partition: int) -> ServerRef[S]: ...

    else:
        worker = renamed(child)

    def worker_for(self, key: str | bytes | int) -> ServerRef[S]:
        """The server of the partition to which `key` belongs: ``stable_hash(key) % partitions``.

        It is the same in every run for as long as the number of partitions is the same.

        Raises:
          NoPartitions: there are none, after a `resize` to 0.
          ServerNotRunning: the supervisor is not running.
        """
        table = self._table("worker_for", key)
        partitions = self._supervisor.partitions
        if not partitions:
            raise NoPartitions(self.name, key)
        return table[stable_hash(key) % partitions].ref

    async def resize(self, partitions: int) -> None:
        """Have fewer partitions, or more again, up to the number at the start.

        The last ones are ended, in reverse, or started, in order. Most keys then belong to another one.

        Raises:
          ValueError: there were not so many at the start, or `partitions` is below 0.
          ChildStartFailed, InitIgnored: one did not start; there are then as many as did before it.
          ServerError: as `ServerRef.call`.
        """
        await self.call(PartitionSupervisor.resize(partitions))

    @property
    def _supervisor(self) -> PartitionSupervisor:
        return cast("PartitionSupervisor", self._process.instance)


class PartitionSupervisor(Supervisor, Generic[S_any]):
    """A supervisor of several servers of one kind, numbered from 0; see `open_partition_supervisor`.

    The partitions know nothing of each other, so the strategy is one_for_one.

    Args:
      child: the specification of each, or a function that makes the one of a partition from its number, so
        that each may have arguments of its own; called at each start of this supervisor. The id becomes
        the number.
      partitions: how many, from 1.
      max_restarts, max_seconds: as for `Supervisor`.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """

    _ref_class: ClassVar[type[ServerRef[Any]] | None] = PartitionSupervisorRef
    if TYPE_CHECKING:

        @property
        def ref(self) -> PartitionSupervisorRef[S_any]: ...  # type: ignore[override]  # none of a `Supervisor`

    def __init__(
        self,
        child: ChildSpec[Any] | Callable[[int], ChildSpec[Any]],
        partitions: int,
        *,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> None:
        if isinstance(partitions, bool) or not isinstance(partitions, int) or partitions < 1:
            raise InvalidSpec("partitions", partitions, "a whole number of at least 1", of=OF)
        super().__init__(
            [_numbered(child, number) for number in range(partitions)],
            max_restarts=max_restarts,
            max_seconds=max_seconds,
        )
        self._partitions_at_start = partitions
        self.partitions = partitions

    @handle_call
    async def resize(self, partitions: int) -> None:
        """See `PartitionSupervisorRef.resize`."""
        most = self._partitions_at_start
        if isinstance(partitions, bool) or not isinstance(partitions, int) or not 0 <= partitions <= most:
            raise Refuse(
                ValueError(
                    f"{self._tree.name} was started with {most} partitions, so it can have 0 to {most}, "
                    f"not {show(partitions)}"
                )
            )
        while self.partitions > partitions:
            # First the number: nobody is sent to a server that is about to end.
            self.partitions -= 1
            await self._tree.stop_child(self._tree.table[self.partitions])
        while self.partitions < partitions:
            await self._start(self._tree.table[self.partitions])
            self.partitions += 1


def _numbered(child: ChildSpec[Any] | Callable[[int], ChildSpec[Any]], number: int) -> ChildSpec[Any]:
    spec: ChildSpec[Any]
    child = cast("ChildSpec[Any] | Callable[[int], ChildSpec[Any]]", unsubscripted(child))
    if callable(child) and not isinstance(child, type):
        spec = child(number)
        if not isinstance(spec, ChildSpec):
            raise InvalidSpec("child", spec, "a function that returns a child specification", of=OF)
    elif isinstance(child, ChildSpec):
        spec = child
    else:
        raise InvalidSpec("child", child, "a child specification, or a function that makes one", of=OF)
    return spec.replace(id=number, name=f"{spec.name}[{number}]")


def partition_supervisor_spec(
    child: ChildSpec[S] | Callable[[int], ChildSpec[S]],
    partitions: int,
    *,
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    id: object = "PartitionSupervisor",
    name: str | None = None,
) -> ChildSpec[PartitionSupervisor[S]]:
    """A partition supervisor as the child of a supervisor, or for a block (`open_partition_supervisor`).

    See `PartitionSupervisor` for the other arguments.

    Args:
      id: what the supervisor above knows it by.
      name: what the supervisor is called in errors and logs; by default its id.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """
    spec = checked_spec(
        PartitionSupervisor[S], child, partitions, max_restarts=max_restarts, max_seconds=max_seconds
    )
    return identified(spec, id, name)


@takes_arguments_of(partition_supervisor_spec)
def open_partition_supervisor(
    spec: ChildSpec[PartitionSupervisor[S]],
) -> AbstractAsyncContextManager[PartitionSupervisorRef[S]]:
    """Run several servers of one kind for as long as the block, each key served by the same one.

    ::

        shards = lambda number: child_spec(Shard, folder / f"{number}.db")
        async with open_partition_supervisor(shards, 4) as database:
            await database.worker_for("groceries").call(Shard.load("groceries"))

    It takes the arguments of `partition_supervisor_spec`.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
      ChildStartFailed: a partition could not be started; the ``__cause__`` says why.
      RestartIntensityExceeded: the supervisor gave up; the block is cancelled.
    """
    return open_server(spec)

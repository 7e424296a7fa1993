"""Find or start the one live server of a list.

`TodoCache` is the critical section: only it starts servers, one request after the other, so there is never
more than one a name, however many ask at once. A request for a running server does not go through it:
`Cache` looks into the index that `TodoCache` keeps, in the caller's own step, and only a miss becomes a
message.

Idle servers are stopped to free their memory; the next request starts one again, which loads the list. Each
server writes the time of its last use into a table that `TodoCache` reads: a timer in each server would cost
more than the table for each request.

A `TodoCache` that is started again after a crash finds the running servers with their supervisor.
"""

from __future__ import annotations

import math
from typing import Any

import trio
import trio.lowlevel

from trio_genserver import (
    ChildSpec,
    GenServer,
    Refuse,
    ServerError,
    ServerRef,
    SupervisorRef,
    child_spec,
    handle_call,
)
from trio_genserver.pools import KeyedPool
from trio_genserver.supervision import ChildAlreadyStarted

from .database import stored_name
from .database_worker import DatabaseWorker
from .entry import check_list_name
from .errors import StorageError
from .server import TodoServer
from .text import has_forms

__all__ = ["Cache", "Index", "TodoCache"]


class Index:
    """The running servers by name, kept by `TodoCache` and read by its clients.

    Attributes:
      servers: by name; one that has stopped counts for nothing.
      last_used: by name, on Trio's clock, in seconds.
    """

    def __init__(self) -> None:
        self.servers: dict[str, ServerRef[TodoServer]] = {}
        self.last_used: dict[str, float] = {}

    def running(self, name: str) -> ServerRef[TodoServer] | None:
        """The server of that name, if it runs."""
        server = self.servers.get(name)
        return server if server is not None and server.is_running else None

    def register(self, name: str, server: ServerRef[TodoServer]) -> None:
        """From now on, this is the server of that name."""
        self.servers[name] = server


class TodoCache(GenServer):
    """Starts servers, one a name, and stops those that are idle.

    Args:
      supervisor: under which the servers run.
      workers: the database workers, by name of list.
      index: filled here, read by clients.
      idle_seconds: how long a server may go unused before it is stopped; `math.inf`: forever.
    """

    def __init__(
        self,
        supervisor: SupervisorRef,
        workers: KeyedPool[DatabaseWorker],
        index: Index,
        idle_seconds: float = math.inf,
    ) -> None:
        self._supervisor = supervisor
        self._workers = workers
        self._index = index
        self._idle_seconds = idle_seconds
        # `start_server` fills in the arguments of each list.
        self._spec: ChildSpec[TodoServer] = child_spec(TodoServer, "", workers.worker_for(""))
        index.servers.clear()
        for info in supervisor.which_children():
            index.register(str(info.id), info.ref)
        if idle_seconds != math.inf:
            self.start_task(self._stop_idle)

    @handle_call
    async def start(self, name: str) -> ServerRef[TodoServer]:
        """The server of that name; it is started if it does not run."""
        server = self._index.running(name)
        if server is None:
            stored = await self._stored_name(name) if has_forms(name) else name
            server = self._index.running(stored)
            if server is None:
                server = await self.start_server(stored)
                self._index.register(stored, server)
            if name != stored:
                self._index.register(name, server)
        return server

    async def _stored_name(self, name: str) -> str:
        try:
            return await stored_name(self._workers, name)
        except (StorageError, ServerError) as error:
            raise Refuse(error) from error

    async def start_server(self, name: str) -> ServerRef[TodoServer]:
        """Start one. The supervisor has no two of one name either, also after a crash of this server."""
        arguments = (name, self._workers.worker_for(name), self._index.last_used)
        spec = self._spec.replace(args=arguments, id=name, name=f"list {name!r}")
        while True:
            try:
                return await self._supervisor.start_child(spec)
            except ChildAlreadyStarted as error:
                server: ServerRef[TodoServer] = error.ref
                if server.is_running:
                    return server
                await server.wait_stopped()
            except ServerError as error:
                raise Refuse(error) from error

    async def _stop_idle(self) -> None:
        """Look twice in the time that a server may be idle, and stop those that were for longer."""
        index = self._index
        while True:
            await trio.sleep(self._idle_seconds / 2)
            before = trio.current_time() - self._idle_seconds
            for number, (name, server) in enumerate(list(index.servers.items())):
                if number % 1000 == 999:
                    await trio.lowlevel.checkpoint()
                if not server.is_running:
                    if index.servers.get(name) is server:
                        del index.servers[name]
                        index.last_used.pop(name, None)
                elif index.last_used.get(name, 0.0) <= before:
                    await server.cast(TodoServer.expire(before))

    def format_status(self, state: dict[str, Any]) -> object:
        """The number of servers, not their names."""
        return {"servers": len(self._index.servers), "idle_seconds": self._idle_seconds}


class Cache:
    """The servers by name, for clients.

    Args:
      cache: the server behind it.
      index: the index that it keeps.
    """

    def __init__(self, cache: ServerRef[TodoCache], index: Index) -> None:
        self._cache = cache
        self._index = index

    async def server(self, name: str) -> ServerRef[TodoServer]:
        """The one live server of the list of that name; there is a list of any name.

        The reference is good for as long as the list is used. After it was idle for long, calls raise
        `ServerNotRunning` until somebody asks again: do so each time you begin to work with a list, or use
        `System.call`.

        Raises:
          InvalidListName: no list can have that name.
          ServerError: the system is shutting down.
        """
        if name.__class__ is not str:
            check_list_name(name)
        if self._index.running(name) is not None:
            await trio.lowlevel.checkpoint()
            # Between this look and the caller's next step nobody can stop the server.
            server = self._index.running(name)
            if server is not None:
                return server
        normal = check_list_name(name)
        return await self._cache.call(TodoCache.start(name if has_forms(name) else normal))

    def __len__(self) -> int:
        """How many servers run."""
        return sum(server.is_running for server in self._index.servers.values())

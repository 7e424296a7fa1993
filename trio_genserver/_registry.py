"""Registries: finding a server by a key, and never a dead one.

Passing references along is the plain way for servers to know each other. A registry is for servers that
come and go, one for each user or each list: who starts one gives it a key, who needs one looks it up.

A registry is a plain object, not a server. Everything it does is synchronous, hence atomic in Trio, so there
is nothing to serialise, nothing to wait for, and no message between the end of a server and the end of its
entries. It belongs to whoever makes it; there is no table that all programs share.

An entry belongs to one incarnation of a server. It goes in the very step in which the server stops taking
messages, so a lookup always finds a server that is running at that moment. A *unique* key is given back a
little later, when `terminate` has run too: until then nobody finds it and nobody may take it, so that two
servers under one name never use the same file. Starting a server under such a name waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import trio

from ._blocks import block
from ._child_spec import child_spec
from ._delivery import deliver_always
from ._emit import emit
from ._errors import NotRegistered, ServerNotRunning
from ._process import Process
from ._ref import ServerRef, ref_of
from ._registry_errors import AlreadyRegistered, AlreadyStarted
from ._request import Info
from ._server import GenServer
from ._spec import Name
from ._text import show

__all__ = [
    "DuplicateRegistry",
    "Entry",
    "Registered",
    "Registry",
    "ServerName",
    "Unregistered",
]

S = TypeVar("S", bound=GenServer)
S_co = TypeVar("S_co", bound=GenServer, covariant=True)


class Entry(NamedTuple, Generic[S]):
    """One server under one key.

    Attributes:
      key: the key.
      ref: the server.
      value: what was attached to it.
    """

    key: Hashable
    ref: ServerRef[S]
    value: Any


class Registered(NamedTuple):
    """Told to listeners: a key was taken.

    Attributes:
      registry: where.
      key, ref, value: as in `Entry`.
    """

    registry: BaseRegistry[Any]
    key: Hashable
    ref: ServerRef[Any]
    value: Any


class Unregistered(NamedTuple):
    """Told to listeners: an entry is gone.

    Attributes:
      registry: where.
      key, ref: as in `Entry`; the server may have ended.
    """

    registry: BaseRegistry[Any]
    key: Hashable
    ref: ServerRef[Any]


Event: TypeAlias = Registered | Unregistered
Listener: TypeAlias = "ServerRef[Any] | Callable[[Event], object]"


class _Item:
    """An entry, as it is kept: it belongs to an incarnation, which a reference outlives."""

    __slots__ = ("key", "process", "value")

    def __init__(self, key: Hashable, process: Process, value: Any) -> None:
        self.key = key
        self.process = process
        self.value = value

    def entry(self) -> Entry[Any]:
        return Entry(self.key, ref_of(self.process), self.value)


class _KeyLock:
    """The lock of one key, there for as long as somebody holds it or waits for it."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = trio.Lock()
        self.users = 0


class BaseRegistry(Generic[S]):
    """The common base of `Registry` and `DuplicateRegistry`.

    Iterating gives each `Entry`, in the order of registration, as they were when the iteration began; so
    ``[entry for entry in registry if ...]`` is the way to search, and entries may be removed in the loop.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = type(self).__name__ if name is None else name
        # The state: what each incarnation has, and in the subclasses what is under each key. Changed by
        # _insert and _discard only.
        self._by_process: dict[Process, dict[_Item, None]] = {}
        self._listeners: list[Listener] = []
        self._locks: dict[Hashable, _KeyLock] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {len(self)} entries>"

    def __len__(self) -> int:
        return sum(map(len, self._by_process.values()))

    def __iter__(self) -> Iterator[Entry[S]]:
        return iter([item.entry() for item in self._items()])

    def __contains__(self, key: Hashable) -> bool:
        return bool(self._at(key))

    def count(self, where: Callable[[Entry[S]], bool] | None = None) -> int:
        """How many entries there are, or how many of them are as `where` says."""
        return len(self) if where is None else sum(map(where, self))

    def entries(self, key: Hashable) -> list[Entry[S]]:
        """The entries under `key`; none is no error."""
        return [item.entry() for item in self._at(key)]

    def keys_of(self, ref: ServerRef[Any]) -> list[Hashable]:
        """The keys under which the server is registered, each as often as it is, in order."""
        return [item.key for item in self._by_process.get(ref._process, ())]

    def register(self, key: Hashable, ref: ServerRef[S], value: Any = None) -> None:
        """Enter a server that runs. Not a checkpoint. It is gone when the server ends, at the latest.

        For a key that a server is to have from its start to its end, over restarts too, give its
        specification a `Registry.via` instead.

        Args:
          key: anything hashable.
          value: anything, kept in the entry.

        Raises:
          AlreadyRegistered: the key is unique and taken; the error has the server.
          ServerNotRunning: there is no server behind `ref`.
          TypeError: `key` is not hashable.
        """
        process = ref._process
        if not process.alive:
            raise ServerNotRunning(process.name, f"register({show(key)})")
        holder = self._holder(key)
        if holder is not None:
            raise AlreadyRegistered(process.name, key, ref_of(holder))
        self._insert(_Item(key, process, value))

    def unregister(self, key: Hashable, ref: ServerRef[Any]) -> None:
        """Remove the entries of this server under `key`, and nothing else. Does nothing if there are none."""
        self._remove(item for item in self._by_process.get(ref._process, ()) if item.key == key)

    def unregister_all(self, ref: ServerRef[Any]) -> None:
        """Remove all that this server has."""
        self._remove(self._by_process.get(ref._process, ()))

    def dispatch(self, key: Hashable, fn: Callable[[Entry[S]], object]) -> int:
        """Call `fn` with each entry under `key`, in order of registration. Not a checkpoint.

        One that raises does not keep the others from it: ``topics.dispatch("news", lambda entry:
        entry.ref.cast_nowait(Reader.news(text)))`` reaches all readers but those with a full mailbox.

        Returns:
          the number of entries.

        Raises:
          ExceptionGroup: of what `fn` raised, after it was called with all of them.
        """
        entries = self.entries(key)
        errors: list[Exception] = []
        for entry in entries:
            try:
                fn(entry)
            except Exception as error:  # noqa: BLE001 - raised below, all together
                errors.append(error)
        if errors:
            raise ExceptionGroup(f"dispatching to {show(key)} in {self.name}", errors)
        return len(entries)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of each `Registered` and `Unregistered` from now on.

        Args:
          listener: a server, which gets them in its `handle_info`, also beyond the bound of its mailbox; or a
            function, called in the step in which it happens. If that raises, it is logged and removed.
        """
        if listener not in self._listeners:
            self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        """Stop telling `listener`. Does nothing if it does not listen."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def lock(self, key: Hashable) -> AbstractAsyncContextManager[None]:
        """``async with registry.lock(key):`` runs one such block a key at a time, in order of arrival.

        For looking a key up and acting on it across checkpoints. It has nothing to do with who may
        register. Leaving the block in any way, a cancellation too, lets the next one in.
        """
        return self._locked(key)

    @block
    async def _locked(self, key: Hashable) -> AsyncGenerator[None]:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = _KeyLock()
        lock.users += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.users -= 1
            if lock.users == 0:
                del self._locks[key]

    # The state, and where it changes.

    def _items(self) -> Iterable[_Item]:
        raise NotImplementedError

    def _at(self, key: Hashable) -> Iterable[_Item]:
        """The value under `key`; false if there is none."""
        raise NotImplementedError

    def _holder(self, key: Hashable) -> Process | None:
        """The process because of which `key` cannot be taken."""
        raise NotImplementedError

    def _insert(self, item: _Item) -> None:
        process = item.process
        items = self._by_process.get(process)
        if items is None:
            self._by_process[process] = {item: None}
            process.lifecycle.call_on_ending(self._process_ending)
        else:
            items[item] = None
        self._tell(Registered(self, item.key, ref_of(process), item.value))

    def _discard(self, item: _Item) -> None:
        process = item.process
        items = self._by_process[process]
        del items[item]
        if not items:
            del self._by_process[process]
            process.lifecycle.forget_on_ending(self._process_ending)

    def _remove(self, items: Iterable[_Item]) -> None:
        items = list(items)
        for item in items:
            self._discard(item)
        # Only now: a listener is not to find one of them while it hears of another.
        for item in items:
            self._tell(Unregistered(self, item.key, ref_of(item.process)))

    def _process_ending(self, process: Process) -> None:
        self._remove(self._by_process[process])

    def _tell(self, event: Event) -> None:
        for listener in list(self._listeners):
            if isinstance(listener, ServerRef):
                deliver_always(listener._process, Info(event))
                continue
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - logged with its traceback; it is not the registry's
                emit(
                    logging.ERROR,
                    "the listener %s of %s raised; it is removed",
                    show(listener),
                    self.name,
                    error=error,
                )
                self._listeners.remove(listener)


class Registry(BaseRegistry[S]):
    """A registry of unique keys: names. ``rooms: Registry[Room] = Registry()``.

    Args:
      name: what the registry is called in errors.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._by_key: dict[Hashable, _Item] = {}
        # Keys of servers that are ending: not to be found, not to be taken.
        self._held: dict[Hashable, Process] = {}

    def via(self, key: Hashable, value: Any = None) -> ServerName[S]:
        """The name `key` of this registry: to start a server under, and to use wherever a reference is.

        ``child_spec(Room, 7).replace(via=rooms.via("lobby"))`` starts the room under that name, each time
        that it is restarted too. Starting a second one fails with `AlreadyStarted`, which has the first.
        ``await rooms.via("lobby").call(...)`` reaches whoever has the name at that moment.

        Args:
          key: anything hashable.
          value: attached to the entry when a server is started under the name.

        Raises:
          TypeError: `key` is not hashable.
        """
        return ServerName(self, key, value)

    def lookup(self, key: Hashable) -> ServerRef[S] | None:
        """The server under `key`, or None. Not a checkpoint."""
        item = self._by_key.get(key)
        return None if item is None else ref_of(item.process)

    def __getitem__(self, key: Hashable) -> ServerRef[S]:
        """The server under `key`.

        Raises:
          NotRegistered: there is none.
        """
        item = self._by_key.get(key)
        if item is None:
            raise NotRegistered(self.name, key)
        return ref_of(item.process)

    def value(self, key: Hashable) -> Any:
        """The value that is attached to the server under `key`.

        Raises:
          NotRegistered: there is none.
        """
        item = self._by_key.get(key)
        if item is None:
            raise NotRegistered(self.name, key)
        return item.value

    def update_value(self, key: Hashable, ref: ServerRef[S], fn: Callable[[Any], Any]) -> Any:
        """Replace the value under `key` by ``fn(value)``, and return that.

        Raises:
          NotRegistered: `ref` does not have the key; only its owner may.
        """
        item = self._by_key.get(key)
        if item is None or item.process is not ref._process:
            raise NotRegistered(self.name, key, ref.name)
        item.value = fn(item.value)
        return item.value

    def _items(self) -> Iterable[_Item]:
        return self._by_key.values()

    def _at(self, key: Hashable) -> Iterable[_Item]:
        item = self._by_key.get(key)
        return () if item is None else (item,)

    def _holder(self, key: Hashable) -> Process | None:
        item = self._by_key.get(key)
        return self._held.get(key) if item is None else item.process

    def _insert(self, item: _Item) -> None:
        self._by_key[item.key] = item
        super()._insert(item)

    def _discard(self, item: _Item) -> None:
        del self._by_key[item.key]
        super()._discard(item)

    def _process_ending(self, process: Process) -> None:
        keys = [item.key for item in self._by_process[process]]
        self._held.update(dict.fromkeys(keys, process))

        def free(_process: Process, _reason: object) -> None:
            for key in keys:
                del self._held[key]

        process.lifecycle.call_on_exit(free)
        super()._process_ending(process)

    def claim(self, name: ServerName[Any], process: Process) -> Process | None:
        """Enter a process that starts; or return the one because of which that cannot be."""
        holder = self._holder(name.key)
        if holder is None:
            self._insert(_Item(name.key, process, name.value))
        return holder


class DuplicateRegistry(BaseRegistry[S]):
    """A registry of keys under which there are any number of servers: groups, topics.

    One server may be under one key several times, with different values.

    Args:
      name: what the registry is called in errors.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._by_key: dict[Hashable, dict[_Item, None]] = {}

    def lookup(self, key: Hashable) -> list[ServerRef[S]]:
        """The servers under `key`, in the order of their registration. Not a checkpoint."""
        return [ref_of(item.process) for item in self._at(key)]

    def _items(self) -> Iterable[_Item]:
        return (item for items in self._by_key.values() for item in items)

    def _at(self, key: Hashable) -> Iterable[_Item]:
        return self._by_key.get(key, {})

    def _holder(self, key: Hashable) -> Process | None:
        hash(key)  # so that a key that cannot be one is refused before anything is changed
        return None

    def _insert(self, item: _Item) -> None:
        self._by_key.setdefault(item.key, {})[item] = None
        super()._insert(item)

    def _discard(self, item: _Item) -> None:
        items = self._by_key[item.key]
        del items[item]
        if not items:
            del self._by_key[item.key]
        super()._discard(item)


class ServerName(ServerRef[S_co], Name):
    """A name in a `Registry`, to be used as a reference: whoever has the name at that moment is meant.

    Comes from `Registry.via`. While nobody has it, it is a reference to a server that is not running.

    Attributes:
      registry: the registry.
      key: the key in it.
      value: what is attached to a server that is started under this name.
    """

    __slots__ = ("_nobody", "key", "registry", "value")

    def __init__(self, registry: Registry[Any], key: Hashable, value: Any) -> None:
        try:
            hash(key)
        except TypeError:
            raise TypeError(f"the key of a registry must be hashable, but {show(key)} is not") from None
        super().__init__(str(key) or repr(key))
        self.registry = registry
        self.key = key
        self.value = value
        self._nobody: Process | None = None

    def __repr__(self) -> str:
        return f"<ServerName {show(self.key)} in {self.registry.name}>"

    @property
    def is_running(self) -> bool:
        """Whether somebody has the name, and so takes messages now."""
        return self.key in self.registry

    @property
    def _process(self) -> Process:
        holder = self.registry._holder(self.key)
        if holder is not None:
            return holder
        if self._nobody is None:
            self._nobody = _ended(self)
        return self._nobody

    def claim(self, process: Process) -> Process | None:
        """Give the name to a process that starts; or return the one because of which that cannot be."""
        return self.registry.claim(self, process)

    def taken(self, server: str, holder: Process) -> AlreadyStarted:
        """The error for who starts `server`: `holder` has the name, and keeps it."""
        return AlreadyStarted(server, self.key, ref_of(holder))


def _ended(name: ServerName[Any]) -> Process:
    """A process that has never been, for a name that nobody has: what is sent to it fails as it should."""
    process = Process(child_spec(GenServer).replace(name=name.name), name)
    process.lifecycle.never_was("noproc")
    return process

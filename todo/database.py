"""`Database`: a fixed number of workers, each with a shard, and the routing from a list's name to its worker.

A hash that never changes selects the worker, so a name always has the same one. The caller computes it: no
server stands between a caller and a worker. A request about all shards goes to all workers at once.
"""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from trio_genserver import Call, ChildSpec, ServerRef, Supervisor, SupervisorRef, child_spec, supervisor_spec
from trio_genserver.pools import KeyedPool

from .database_worker import DatabaseWorker, OpenShard
from .entry import check_list_name
from .errors import BadInput, StorageError, StorageFailed
from .shard import Found, ListSummary
from .shard_queries import BAD_ROW
from .text import MAX_WORDS, has_forms, searched_words

__all__ = ["Database", "database_spec", "stored_name"]

R = TypeVar("R")


def database_spec(
    open_shards: Sequence[OpenShard],
    *,
    lazy: bool = False,
    max_restarts: int = 3,
    max_seconds: float = 5.0,
) -> ChildSpec[Supervisor]:
    """The supervisor of one worker a shard: a worker that crashes is started again, alone.

    Args:
      open_shards: for each shard what opens it.
      lazy: see `DatabaseWorker`.
      max_restarts, max_seconds: see `Supervisor`.
    """
    workers = [
        child_spec(DatabaseWorker, open_shard, lazy).replace(id=index, name=f"database worker {index}")
        for index, open_shard in enumerate(open_shards)
    ]
    return supervisor_spec(workers, id="database", max_restarts=max_restarts, max_seconds=max_seconds)


class Database:
    """The database as its callers see it.

    Attributes:
      pool: the workers, by shard.
    """

    def __init__(self, supervisor: SupervisorRef) -> None:
        workers = [supervisor.child(info.id, DatabaseWorker) for info in supervisor.which_children()]
        self.pool = KeyedPool(workers)

    @property
    def workers(self) -> tuple[ServerRef[DatabaseWorker], ...]:
        """The workers, in the order of their shards."""
        return self.pool.workers

    def worker_for(self, name: str) -> ServerRef[DatabaseWorker]:
        """The worker of a list: the same for the same name, always."""
        return self.pool.worker_for(name)

    async def has_list(self, name: str) -> bool:
        """Whether there is a list of that name: one that was ever added to."""
        name = await stored_name(self.pool, name)
        return await self.worker_for(name).call(DatabaseWorker.has_list(name))

    async def lists(self, *, failed: list[StorageError] | None = None) -> list[ListSummary]:
        """Every list that was ever added to, in the order of their names.

        Args:
          failed: the errors of shards that cannot be read are put in here, and the lists of the others
            returned. None: the first such error is raised.
        """
        return list(heapq.merge(*await self._ask_all(DatabaseWorker.lists(), failed)))

    async def unreachable(self) -> list[StorageError]:
        """For each shard with entries that are in no list that can be asked for, an error that says so;
        also for one that cannot be read. `todo check` names the rows.
        """
        found: list[StorageError] = []
        workers = self.workers
        requests = [
            worker.send_request(DatabaseWorker.unreachable(index, len(workers)))
            for index, worker in enumerate(workers)
        ]
        for request in requests:
            try:
                path, problems = await request.wait()
            except StorageError as error:
                found.append(error)
                continue
            found += [
                StorageFailed(path, "reading all lists", ValueError(problem), advice=BAD_ROW)
                for problem in problems
            ]
        return found

    async def search(
        self, words: str, limit: int = 100, *, failed: list[StorageError] | None = None
    ) -> list[Found]:
        """Entries of all lists whose titles have all of `words`, best first; see `Shard.search`.

        Args:
          words, limit: see `Shard.search`.
          failed: see `lists`.

        Raises:
          BadInput: `words` is not text, contains half a surrogate or more than `MAX_WORDS` words, or `limit`
            is not a whole number from 1.
        """
        if not isinstance(words, str):
            raise BadInput(f"the words to search for must be text, not {words!r}")
        if any("\ud800" <= character <= "\udfff" for character in words):
            raise BadInput(
                f"the words to search for must be text, but {words[:60]!r} contains half a surrogate"
            )
        number = len(searched_words(words))
        if number > MAX_WORDS:
            raise BadInput(f"a search can have at most {MAX_WORDS} words, not {number}")
        if limit.__class__ is not int or not 1 <= limit < 2**63:
            raise BadInput(f"limit must be a whole number from 1, not {limit!r}")
        # How well one matches depends on how often its words occur in its own shard, so the order between
        # shards is approximate.
        answers = await self._ask_all(DatabaseWorker.search(words, limit), failed)
        return list(heapq.merge(*answers, key=_by_rank))[:limit]

    async def between(
        self, first: datetime.date, last: datetime.date, *, failed: list[StorageError] | None = None
    ) -> list[Found]:
        """Entries of all lists from one day to another, both included: by day, list, id.

        Args:
          first, last: the days.
          failed: see `lists`.

        Raises:
          BadInput: an argument is not a `datetime.date`.
        """
        for day in (first, last):
            # A datetime is a date to isinstance; as text it would be compared wrongly.
            if not isinstance(day, datetime.date) or isinstance(day, datetime.datetime):
                raise BadInput(f"a day must be a datetime.date, not {day!r}")
        return list(
            heapq.merge(*await self._ask_all(DatabaseWorker.between(first, last), failed), key=_by_day)
        )

    async def ask_each(
        self, message: Call[DatabaseWorker, R], workers: Iterable[ServerRef[DatabaseWorker]] | None = None
    ) -> list[R | StorageError]:
        """For each shard the reply of its worker, or why it has none; they work on it at the same time.

        Args:
          message: for each of them.
          workers: the workers to ask; None: all.
        """
        requests = [worker.send_request(message) for worker in (self.workers if workers is None else workers)]
        answers: list[R | StorageError] = []
        for request in requests:
            try:
                answers.append(await request.wait())
            except StorageError as error:
                answers.append(error)
        return answers

    async def check(self) -> list[list[str]]:
        """For each shard its damage, in words; see `Shard.check`."""
        return await self._ask_all(DatabaseWorker.check())

    async def backup(self, targets: Sequence[Path], *, failed: list[StorageError] | None = None) -> None:
        """Copy each shard to its target; others go on writing meanwhile. Consistent a shard, not between
        them.

        Args:
          targets: for each shard the file, which is not there.
          failed: the errors of shards that cannot be copied are put in here. None: the first is raised, when
            the others are copied.

        Raises:
          StorageError: one cannot be read, or its copy not be written.
        """
        errors: list[StorageError] = []
        requests = [
            worker.send_request(DatabaseWorker.backup(target))
            for worker, target in zip(self.workers, targets, strict=True)
        ]
        for request in requests:
            try:
                await request.wait()
            except StorageError as error:
                errors.append(error)
        if failed is not None:
            failed += errors
        elif errors:
            raise errors[0]

    async def _ask_all(
        self, message: Call[DatabaseWorker, R], failed: list[StorageError] | None = None
    ) -> list[R]:
        """The replies of all workers; see `lists`."""
        answers: list[R] = []
        for answer in await self.ask_each(message):
            if not isinstance(answer, StorageError):
                answers.append(answer)
            elif failed is None:
                raise answer
            else:
                failed.append(answer)
        return answers


async def stored_name(workers: KeyedPool[DatabaseWorker], name: str) -> str:
    """The name under which a list is stored: that of an existing one which is compared as the same, or the
    one that a new list gets.

    Raises:
      InvalidListName: no list can have that name.
    """
    normal = check_list_name(name)
    if not has_forms(name):
        return normal
    # Those of earlier versions have the form in which they were written. Two may differ in that alone.
    for form in dict.fromkeys((name, normal)):
        if await workers.worker_for(form).call(DatabaseWorker.has_list(form)):
            return form
    for worker in workers.workers:
        found = await worker.call(DatabaseWorker.name_like(normal))
        if found is not None:
            return found
    return normal


def _by_rank(found: Found) -> tuple[float, str, int]:
    return found.rank, found.list, found.entry.id


def _by_day(found: Found) -> tuple[object, str, int]:
    return found.entry.date, found.list, found.entry.id

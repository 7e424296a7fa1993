"""The public names of `todo`, which gives them out when the first of them is asked for."""

from __future__ import annotations

from .cache import Cache, TodoCache
from .database import Database
from .database_worker import DatabaseWorker
from .entry import MAX_NAME, MAX_TITLE, Entry, check_list_name
from .errors import (
    BadFolder,
    BadInput,
    BadLine,
    FolderInUse,
    InconsistentFolder,
    InvalidEntry,
    InvalidListName,
    NewerVersion,
    NoSuchList,
    NotADatabase,
    NotAFolder,
    OperationRefused,
    ReshardFailed,
    StorageError,
    StorageFailed,
    TodoError,
    WrongShard,
    WrongWorkerCount,
)
from .list import TodoList
from .server import TodoServer
from .shard import Found, ListSummary
from .system import System, open_system

__all__ = [
    "MAX_NAME",
    "MAX_TITLE",
    "BadFolder",
    "BadInput",
    "BadLine",
    "Cache",
    "Database",
    "DatabaseWorker",
    "Entry",
    "FolderInUse",
    "Found",
    "InconsistentFolder",
    "InvalidEntry",
    "InvalidListName",
    "ListSummary",
    "NewerVersion",
    "NoSuchList",
    "NotADatabase",
    "NotAFolder",
    "OperationRefused",
    "ReshardFailed",
    "StorageError",
    "StorageFailed",
    "System",
    "TodoCache",
    "TodoError",
    "TodoList",
    "TodoServer",
    "WrongShard",
    "WrongWorkerCount",
    "check_list_name",
    "open_system",
]

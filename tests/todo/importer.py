"""Runs `todo import` and kills itself at one of its steps: `test_import_again` runs it, for every step.

Not a test. A single-threaded parent forks one child for each line of its input, which is a folder, a file and
the number of the step, and says with which status the child ended. Steps are all moments before and after
what an import makes durable, or says. When it has said what it did there is a file `told` beside the folder.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from todo import database_worker
from todo.cli import _files, main
from todo.shard import Shard


class Steps:
    """Counts the steps, and ends the process at one of them."""

    def __init__(self, deadly: int) -> None:
        self.left = deadly

    def step(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = function(*args, **kwargs)
            self.step()
            return result

        return call


def run(folder: str, file: str, deadly: int) -> None:
    """The command, until the deadly step."""
    steps = Steps(deadly)
    Shard.apply = steps.around(Shard.apply)  # type: ignore[method-assign]  # in this process only
    worker: Any = database_worker
    worker.take_notes = steps.around(worker.take_notes)
    worker.forget_notes = steps.around(worker.forget_notes)
    files: Any = _files
    tell = steps.around(_files._tell_import)

    def tell_import(*args: Any) -> None:
        tell(*args)
        Path(folder).with_name("told").touch()

    files._tell_import = tell_import
    os.dup2(2, 1)
    main(["--folder", folder, "import", file])


def serve() -> None:
    for line in sys.stdin:
        folder, file, deadly = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                run(folder, file, int(deadly))
            except SystemExit as ended:
                os._exit(int(ended.code or 0))
            os._exit(99)
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    serve()

"""A program that adds entries one by one and prints what became of each; `test_faults` fails its disk.

``adder FOLDER COUNT``: for each entry ``ok ID TITLE`` or ``error CLASS TEXT``, and at last ``end``.
"""

from __future__ import annotations

import logging
import sys

import trio

from todo import Entry, StorageError, TodoServer, open_system
from trio_genserver import ServerError


async def main(folder: str, count: int) -> None:
    async with open_system(folder, workers=1) as system:
        for number in range(count):
            try:
                added = await system.call("bob", TodoServer.add_entry(Entry(title=f"entry {number}")))
                print(f"ok {added.id} {added.title}", flush=True)
            except (StorageError, ServerError) as error:
                print(f"error {type(error).__name__} {error}", flush=True)
    print("end", flush=True)


if __name__ == "__main__":
    logging.disable()
    trio.run(main, sys.argv[1], int(sys.argv[2]))

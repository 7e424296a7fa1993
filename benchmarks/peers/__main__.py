"""Makes the environments of the peers, and says which are there: `make peers`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .environments import DEFAULT, commands, default_python, make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--make-environments",
        metavar="DIR",
        nargs="?",
        type=Path,
        const=DEFAULT,
        help="make them in DIR (build/peers); what is there is made anew",
    )
    parser.add_argument("--python", default=None, help="the interpreter to make them with (python3.13)")
    arguments = parser.parse_args()
    folder = arguments.make_environments or DEFAULT
    if arguments.make_environments:
        python = arguments.python or default_python()
        print(f"making environments in {folder} with {python}")
        make(folder, python)
    there, missing = commands(folder)
    for peer in there:
        print(f"{peer.title}: there")
    for peer, why in missing.items():
        print(f"{peer.title}: {why}")


if __name__ == "__main__":
    main()

"""The commands from their first line on: Ctrl-C while they import what they need is one line too."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"

PROGRAM = """
import importlib, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {imported!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
sys.argv = [{command!r}, "--version"]
getattr(importlib.import_module({module!r}), {function!r})()
"""


@pytest.mark.parametrize(
    ("command", "imported"),
    [
        (command, imported)
        for command in ("todo", "sim")
        for imported in ("trio", "click", "outcome", f"{command}.cli")
    ],
)
def test_ctrl_c_while_a_command_imports_is_one_line(command: str, imported: str) -> None:
    scripts = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["scripts"]
    module, function = scripts[command].split(":")
    program = PROGRAM.format(command=command, imported=imported, module=module, function=function)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == f"{command}: interrupted\n"


@pytest.mark.parametrize("command", ["todo", "sim"])
def test_a_command_is_a_module_too(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", command, "--version"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert command in ended.stdout

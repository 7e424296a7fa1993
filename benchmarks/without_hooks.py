"""Our code with the instrument hooks cut out: what the row "instruments not installed" is measured against.

A hook is a test (``if process.hooks.message_sent: ...``) that nearly always says no. To know what the noes
cost, one needs the same code without them, and a second copy kept by hand would soon be another program. So
the copy is made from the source each time: a module's syntax tree with every test of a hook taken as False,
and what can never run then removed. `plain_copy` is made and imported the same way with nothing cut out; what
its figures differ from ours by is what the measurement cannot tell apart.

A use of the hooks in a shape that this module does not know is an error, and so is a module that should have
some and has none: a cut that removed nothing would make a fine ratio.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType

import trio_genserver
from trio_genserver._hooks import HOOKS

__all__ = ["UnknownShape", "plain_copy", "strip", "without_hooks"]

PACKAGE = Path(trio_genserver.__file__).parent
FLAGS = frozenset((*HOOKS, "messages"))
# These are about instruments: what they do with hooks costs a message nothing.
KEPT = frozenset(("_hooks.py", "_instrument.py", "_debug.py", "opentelemetry.py"))
# Each of them has hooks on the way of a message. If one no longer has any, the row measures nothing.
MUST_HAVE = frozenset(("_delivery.py", "_handling.py", "_loop.py", "_ref.py", "_request.py", "_children.py"))


class UnknownShape(Exception):
    """The code uses its hooks in a way that `strip` cannot remove; teach it, or the row is wrong.

    Attributes:
      module: the file's name.
      line: where, or 0 for the whole file.
    """

    def __init__(self, module: str, line: int, what: str) -> None:
        super().__init__(f"{module}:{line}: {what}; benchmarks/without_hooks.py must learn this shape")
        self.module = module
        self.line = line


def strip(source: str, module: str) -> tuple[ast.Module, int]:
    """`source` without its hooks.

    Returns:
      the tree, and how many tests of a hook were cut out.

    Raises:
      UnknownShape: a use of the hooks is left.
    """
    cutter = _Cutter()
    tree: ast.Module = cutter.visit(ast.parse(source, module))
    for node in ast.walk(tree):
        # As an attribute, a local, or a parameter. In `__slots__` it is a string, and may stay there.
        if (isinstance(node, ast.Attribute) and node.attr == "hooks") or (
            isinstance(node, ast.Name) and node.id in ("hooks", "current_hooks")
        ):
            raise UnknownShape(module, node.lineno, f"`{ast.unparse(node)}` is left")
    return ast.fix_missing_locations(tree), cutter.tests


def _is_hooks(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "hooks") or (
        isinstance(node, ast.Name) and node.id == "hooks"
    )


def _is_data(node: ast.expr) -> bool:
    """`Envelope.data`, a slot of every request, is the instruments' alone."""
    return isinstance(node, ast.Attribute) and node.attr == "data" and ast.unparse(node.value) == "self"


def _constant(node: ast.expr) -> bool | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, bool) else None


class _Cutter(ast.NodeTransformer):
    """Takes every test of a hook as False, and what follows from it."""

    def __init__(self) -> None:
        self.tests = 0

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if node.attr in FLAGS and _is_hooks(node.value):
            self.tests += 1
            return ast.copy_location(ast.Constant(False), node)
        self.generic_visit(node)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        value = _constant(node.operand)
        if isinstance(node.op, ast.Not) and value is not None:
            return ast.copy_location(ast.Constant(not value), node)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        # What ends an `and` ends it at False, an `or` at True; the other constant changes nothing in it.
        ends = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        for value in node.values:
            constant = _constant(value)
            if constant is ends:
                values.append(value)
                break
            if constant is None:
                values.append(value)
        if values and _constant(values[-1]) is ends and all(map(_is_harmless, values[:-1])):
            return values[-1]
        if not values:
            return ast.copy_location(ast.Constant(not ends), node)
        if len(values) == 1:
            return values[0]
        node.values = values
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        # The test first: what is in a body that goes may have any shape.
        node.test = self.visit(node.test)
        constant = _constant(node.test)
        if constant is None:
            self.generic_visit(node)
            if not node.body:
                node.body = [ast.Pass()]
            return node
        left = node.body if constant else node.orelse
        return [new for each in left for new in _as_list(self.visit(each))]

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        # `hooks = process.hooks`, `self.hooks = current_hooks()`: nothing asks for it now.
        target = node.targets[0]
        if len(node.targets) == 1 and _is_hooks(target):
            value = node.value
            if _is_hooks(value) or (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Name)
                and value.func.id == "current_hooks"
            ):
                return None
        self.generic_visit(node)
        return None if _is_data(target) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        self.generic_visit(node)
        # `hooks: Hooks` in a class only says that there is one.
        is_declared = _is_hooks(node.target) and node.value is None
        return None if is_declared or _is_data(node.target) else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        return self._visit_function(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
        self.generic_visit(node)
        if not node.body:
            node.body = [ast.Pass()]
        return node


def _is_harmless(node: ast.expr) -> bool:
    """Whether leaving out to evaluate it changes nothing: no call in it, no `await`."""
    return not any(isinstance(each, ast.Call | ast.Await | ast.NamedExpr) for each in ast.walk(node))


def _as_list(nodes: ast.stmt | list[ast.stmt] | None) -> list[ast.stmt]:
    if nodes is None:
        return []
    return nodes if isinstance(nodes, list) else [nodes]


@contextlib.contextmanager
def without_hooks() -> Generator[ModuleType]:
    """The package without its hooks, imported beside the real one under a name of its own.

    Raises:
      UnknownShape: some hook was not cut out, or one of `MUST_HAVE` had none.
    """

    def cut(source: str, module: str) -> str:
        if module in KEPT:
            return source
        tree, tests = strip(source, module)
        if not tests and module in MUST_HAVE:
            raise UnknownShape(module, 0, "no test of a hook was found")
        return ast.unparse(tree)

    with _imported("trio_genserver_without_hooks", cut) as package:
        yield package


@contextlib.contextmanager
def plain_copy() -> Generator[ModuleType]:
    """The package as it is, copied and imported as `without_hooks` does it."""
    with _imported("trio_genserver_plain_copy", lambda source, _: ast.unparse(ast.parse(source))) as package:
        yield package


@contextlib.contextmanager
def _imported(name: str, change: Callable[[str, str], str]) -> Generator[ModuleType]:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, name)
        package.mkdir()
        for path in PACKAGE.glob("*.py"):
            source = change(path.read_text("utf-8"), path.name)
            (package / path.name).write_text(source, "utf-8")
        sys.path.insert(0, folder)
        try:
            importlib.invalidate_caches()
            yield importlib.import_module(name)
        finally:
            sys.path.remove(folder)
            for module in [each for each in sys.modules if each.partition(".")[0] == name]:
                del sys.modules[module]

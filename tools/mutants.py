"""Mutants of modules: small faults put into them at random, and whether their tests notice.

``python -m tools.mutants --count 40 --seed 1 MODULE… -- TEST…`` copies the tree, changes one place of one
module at a time, and runs the tests with ``-x``. A mutant lives if they all pass: then a test is missing, or
the change changes nothing. The exit code is 1 if fewer than ``--floor`` of a hundred die.

The tests of each mutant run in a process of their own, which is forked when what the package needs, but none
of the package itself, was imported.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

#: What takes long to import, and has no thread before it is used.
_READY = ("pytest", "hypothesis", "numpy", "pyarrow", "pyarrow.compute", "pyarrow.dataset", "apsw", "duckdb")
_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}  # fmt: skip
_CALLED = {"any": "all", "all": "any", "min": "max", "max": "min"}
_DROPPED = (ast.Assign, ast.AugAssign, ast.Expr, ast.Delete)
#: What no test of behaviour sees: types, and how a module is put together.
_LEFT_OUT = ("annotation", "returns", "decorator_list", "names", "slots")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed place: ``module``, what stood there, ``node``, and what stands there now, ``changed``."""

    module: Path
    tree: ast.Module
    node: ast.expr | ast.stmt
    changed: ast.AST

    def __str__(self) -> str:
        change = f"{ast.unparse(self.node)} -> {ast.unparse(self.changed)}"
        return f"{self.module}:{self.node.lineno}: {' '.join(change.split())[:150]}"

    def text(self) -> str:
        """The module with the change."""
        return _with(self.tree, self.node, self.changed)


def mutants(module: Path) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(module.read_text())
    for node, changed in _changes(tree):
        assert isinstance(node, ast.expr | ast.stmt)
        yield Mutant(module, tree, node, changed)


def _with(tree: ast.Module, node: ast.AST, changed: ast.AST) -> str:
    """The module with ``changed`` where ``node`` was."""

    class Swap(ast.NodeTransformer):
        def visit(self, at: ast.AST) -> ast.AST:
            return changed if at is node else self.generic_visit(at)

    memo = {id(node): node}
    return ast.unparse(ast.fix_missing_locations(Swap().visit(copy.deepcopy(tree, memo))))


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Raise):
        return  # what messages say
    for changed in _changed(node):
        yield node, changed
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # of zip: an assertion
    for name, below in ast.iter_fields(node):
        if name in _LEFT_OUT:
            continue
        for each in below if isinstance(below, list) else [below]:
            if isinstance(each, ast.AST):
                yield from _changes(each)


def _changed(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand for one node."""
    new = copy.copy(node)
    if isinstance(new, ast.Compare) and type(new.ops[0]) in _COMPARED:
        new.ops = [_COMPARED[type(new.ops[0])](), *new.ops[1:]]
        yield new
    elif isinstance(new, ast.BoolOp):
        new.op = ast.And() if isinstance(new.op, ast.Or) else ast.Or()
        yield new
    elif isinstance(new, ast.UnaryOp) and isinstance(new.op, ast.Not):
        yield new.operand
    elif isinstance(new, ast.BinOp) and type(new.op) in _COMPUTED:
        new.op = _COMPUTED[type(new.op)]()
        yield new
    elif isinstance(new, ast.Constant) and isinstance(new.value, bool | int):
        new.value = not new.value if isinstance(new.value, bool) else new.value + 1
        yield new
    elif isinstance(new, ast.Name) and new.id in _CALLED:
        new.id = _CALLED[new.id]
        yield new
    elif isinstance(new, ast.If | ast.While | ast.IfExp):
        new.test = ast.UnaryOp(ast.Not(), new.test)
        yield new
    elif isinstance(new, ast.Continue | ast.Break):
        yield ast.copy_location(ast.Break() if isinstance(new, ast.Continue) else ast.Continue(), new)
    elif isinstance(new, ast.Return) and not _is_none(new.value):
        yield ast.copy_location(ast.Return(ast.Constant(None)), new)
    elif isinstance(new, _DROPPED) and not _is_docstring(new):
        yield ast.copy_location(ast.Pass(), new)


def _is_none(node: ast.expr | None) -> bool:
    """Whether it is None, or False, which is as much in a condition."""
    return node is None or (isinstance(node, ast.Constant) and (node.value is None or node.value is False))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def survives(mutant: Mutant, tree: Path, tests: list[str], seconds: int) -> bool:
    """Whether all tests pass with it; one that runs into the time is dead."""
    path = tree / mutant.module
    original = path.read_bytes()
    path.write_text(mutant.text())
    try:
        return passes(tree, tests, seconds)
    finally:
        path.write_bytes(original)


def passes(tree: Path, tests: list[str], seconds: int) -> bool:
    """Whether all tests of a tree pass in time."""
    child = os.fork()
    if not child:
        _run(tree, tests)
    return _status(child, seconds) == 0


def _run(tree: Path, tests: list[str]) -> None:
    """All tests, in this process, which ends with them."""
    status = 1
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", os.getcwd()))]
        os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True
        os.chdir(tree)
        options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--assert", "plain"]
        status = import_module("pytest").main([*options, *tests])
    finally:
        os._exit(status)


def _status(child: int, seconds: int) -> int:
    """How a process ended, which is not 0 if that took too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] or 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--floor", type=float, default=90)
    parser.add_argument("--seconds", type=int, default=180, help="for the tests of one mutant")
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--tests", nargs="+", required=True)
    asked = parser.parse_args()
    for name in _READY:
        import_module(name)
    every = [mutant for module in asked.modules for mutant in mutants(module)]
    chosen = random.Random(asked.seed).sample(every, min(asked.count, len(every)))
    with tempfile.TemporaryDirectory(prefix="audiomem-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(
            ".", tree, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__")
        )
        if not passes(tree, asked.tests, asked.seconds):
            print("the tests fail without any change, or take too long")
            return 2
        dead = 0
        for mutant in chosen:
            lives = survives(mutant, tree, asked.tests, asked.seconds)
            dead += not lives
            print(f"{'LIVES' if lives else 'dies '} {mutant}", flush=True)
    print(f"{dead} of {len(chosen)} die, of {len(every)} there are (seed {asked.seed})")
    return int(100 * dead < asked.floor * len(chosen))


if __name__ == "__main__":
    sys.exit(main())

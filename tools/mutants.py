"""Mutants of modules: small faults put into them at random, and whether their tests notice.

``python -m tools.mutants --count 40 --seed 1 MODULE… -- TEST…`` copies the tree, changes one place of one
module at a time, and runs the tests with ``-x``. A mutant lives if they all pass: then a test is missing, or
the change changes nothing. The exit code is 1 if fewer than ``--floor`` of a hundred die.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    """One changed place: ``module``, its ``line``, what stood there and what stands there now."""

    module: Path
    line: int
    before: str
    after: str
    text: str


def mutants(module: Path) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines."""
    source = module.read_text()
    tree = ast.parse(source)
    for node, changed in _changes(tree):
        before = ast.unparse(node)
        yield Mutant(module, node.lineno, before, ast.unparse(changed), _with(tree, node, changed))


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
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def survives(mutant: Mutant, tree: Path, tests: list[str], seconds: int) -> bool:
    """Whether all tests pass with it; one that runs into the time is dead."""
    path = tree / mutant.module
    original = path.read_bytes()
    path.write_text(mutant.text)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_bytes(original)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--floor", type=float, default=90)
    parser.add_argument("--seconds", type=int, default=180, help="for the tests of one mutant")
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--tests", nargs="+", required=True)
    asked = parser.parse_args()
    every = [mutant for module in asked.modules for mutant in mutants(module)]
    chosen = random.Random(asked.seed).sample(every, min(asked.count, len(every)))
    with tempfile.TemporaryDirectory(prefix="audiomem-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(
            ".", tree, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__")
        )
        dead = 0
        for mutant in chosen:
            lives = survives(mutant, tree, asked.tests, asked.seconds)
            dead += not lives
            line = f"{'LIVES' if lives else 'dies '} {mutant.module}:{mutant.line}"
            changed = f"{mutant.before} -> {mutant.after}"
            print(f"{line}: {' '.join(changed.split())[:150]}", flush=True)
    print(f"{dead} of {len(chosen)} die, of {len(every)} there are (seed {asked.seed})")
    return int(100 * dead < asked.floor * len(chosen))


if __name__ == "__main__":
    sys.exit(main())

"""``audiomem verify``: every fault in the files of a table."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.cli.replica import Replicas
from audiomem_sql.errors import DamagedFileError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiomem_sql.table.exposure import Exposure
    from audiomem_sql.upkeep.verify import Problem


def verify(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    replica: Replicas = None,
    all_replicas: Annotated[
        bool,
        typer.Option(
            "--all-replicas", help="Read each copy that --replica names by itself; so does --replica alone."
        ),
    ] = False,
) -> int:
    """Read all of a table, and list everything that is damaged. The exit code is 1 if anything is."""
    from audiomem_sql.cli import output

    if replica or all_replicas:
        return _verify_copies(file, replica, json)
    started = time.perf_counter()
    result = _check(file, print_problems=not json)
    if json:
        output.print_json(result.facts())
        return int(bool(result.problems))
    duration = f"in {time.perf_counter() - started:.1f} s"
    if result.problems:
        count = output.counted(len(result.problems), "problem")
        output.note(f"audiomem: {file}: {count} {duration}. {result.remedy()}")
        return 1
    segments = f" and {output.counted(result.segments, 'segment')}" if result.segments > 1 else ""
    print(
        f"{file}: all well: {output.counted(result.rows, 'row')}, {output.counted(result.pages, 'page')} "
        f"in {output.counted(result.files, 'file')}{segments}, {duration}"
    )
    if result.exposed is not None:
        output.note(f"audiomem: {file}: {result.exposed}.")
    return 0


@dataclass
class _Result:
    """What was read, and what is damaged.

    ``protected``: whether every file has protection to be repaired with.
    """

    file: str
    files: int = 0
    segments: int = 0
    pages: int = 0
    rows: int = 0
    protected: bool = True
    exposed: Exposure | None = None
    problems: list[Problem] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        problems = [
            {
                "file": problem.file,
                "shard": problem.shard,
                "page": problem.page,
                "cells": list(problem.cells),
                "problem": problem.what,
                "repair": problem.repair,
            }
            for problem in self.problems
        ]
        return {
            "file": self.file,
            "ok": not problems,
            "files": self.files,
            "segments": self.segments,
            "pages": self.pages,
            "rows": self.rows,
            "exposed": None if self.exposed is None else asdict(self.exposed),
            "problems": problems,
        }

    def remedy(self) -> str:
        """What the user can do about the problems."""
        from audiomem_sql.shards import is_sharded

        if not all(problem.repair for problem in self.problems):
            if is_sharded(self.file):
                return self._remedy_of_shards()
            return f"Restore the file from a copy, or save what is left: audiomem salvage {self.file} -o NEW"
        if self.protected:
            return "`audiomem repair` makes the file what it was."
        return f"All of it can be read; audiomem vacuum {self.file} writes it anew."

    def _remedy_of_shards(self) -> str:
        from audiomem_sql.machine.urls import file_name
        from audiomem_sql.shards import restoring

        beyond = {p.shard: file_name(p.file) for p in self.problems if p.repair is None}
        remedy = restoring(*([] if None in beyond else beyond.values()))
        if len(beyond) < len({problem.shard for problem in self.problems}):
            remedy += " `audiomem repair` makes the others what they were."
        return remedy


def _verify_copies(file: str, replicas: list[str] | None, json: bool) -> int:
    """Read each copy of a table by itself; 1 if one of them is not whole."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.shards import is_sharded
    from audiomem_sql.storage.segment import NumberedElsewhereError
    from audiomem_sql.versions import copy_places

    if not replicas:
        raise OptionError(
            "--all-replicas needs to know where they are", remedy="Name each: --replica s3://bucket/kb.flac"
        )
    places = copy_places(file, replicas)
    has_manifest = is_sharded(file)
    if not has_manifest:
        try:
            found = _file_problems(places)
        except NumberedElsewhereError:
            has_manifest = True
    if has_manifest:
        from audiomem_sql.upkeep.heal_stored import stored_problems

        with bar("places") as progress:
            found = list(stored_problems([place.rstrip("/") for place in places], progress.to))
    facts = [{"place": place, "ok": not faults, "problems": faults} for place, faults in found]
    for place, faults in found if not json else ():
        print("\n".join(faults) if faults else f"{place}: all well")
    damaged = sum(not each["ok"] for each in facts)
    if json:
        output.print_json(facts)
    elif damaged:
        remedy = f"`audiomem repair {file} --replica …` makes them whole, from those that are."
        output.note(f"audiomem: {damaged} of {len(found)} copies are not whole. {remedy}")
    return int(bool(damaged))


def _file_problems(places: Sequence[str]) -> list[tuple[str, list[str]]]:
    """For each place of a file, what is damaged there."""
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.upkeep.heal import copy_problems
    from audiomem_sql.versions import check_same, open_copies

    found = []
    copies = open_copies(places)
    try:
        check_same(copies)
        for copy in copies:
            with bar("pages") as progress:
                found.append((copy.name, [str(problem) for problem in copy_problems(copy, progress.to)]))
    finally:
        for copy in copies:
            copy.close()
    return found


def _check(file: str, *, print_problems: bool) -> _Result:
    """Read all of the table in ``file``. print_problems: each as soon as it is known."""
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.exposure import exposure
    from audiomem_sql.table.table import Table
    from audiomem_sql.upkeep.verify import Problem, problems

    result = _Result(file)
    try:
        with Table(file, cache=[]) as table:  # an object itself, not copies of it
            snapshot = table.snapshot.readable()
            segments = snapshot.segments
            result.files = len({segment.path for segment in segments})
            result.segments, result.rows = len(segments), len(table)
            result.protected = all(segment.file.is_protected for segment in segments)
            result.exposed = exposure(snapshot)
            result.pages = sum(segment.file.page_count for segment in segments)
            with bar("pages") as progress:
                for problem in problems(table, progress.to):
                    result.problems.append(problem)
                    if print_problems:
                        progress.say(str(problem), sys.stdout)
    except DamagedFileError as error:
        # Damage that keeps the table from being opened is a problem as well.
        fault = f"{error.place}: {error.what}" if error.place else error.what
        result.problems.append(Problem(error.file or file, None, (), fault))
        if print_problems:
            print(result.problems[-1])
    return result

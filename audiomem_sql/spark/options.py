"""The options of ``format("audiomem")``, whose names Spark hands over in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiomem_sql.errors import OptionError, QueryError, did_you_mean
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.sharded_creation import SHARD_OPTIONS

_READ = ("version", "as_of", "columns", "filter", "match", "k", "column", "rows_per_partition", "partitions")
_NEW = ("primary_key", "semantic", "definitions", *SHARD_OPTIONS)
_WRITE = ("replacewhere", "staging", "message", "application", "checkpointlocation")
#: Options that Spark adds by itself.
_SPARKS = ("path", "paths")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What was said with ``option(…)``, and the path."""

    given: Mapping[str, str]

    @classmethod
    def of(cls, options: Mapping[str, str]) -> SourceOptions:
        """OptionError for a name that is none."""
        given = {str(name).lower(): value for name, value in options.items()}
        stored = [name for name in TableOptions.__dataclass_fields__ if name != "model_digest"]
        known = [*_READ, *_NEW, *_WRITE, *_SPARKS, *stored]
        for name in given:
            if name not in known:
                meant = did_you_mean(name, known)
                raise OptionError(
                    f"there is no option {name}", remedy=f"{meant}Options: {', '.join(sorted(known))}."
                )
        return cls(given)

    @property
    def path(self) -> str:
        """Where the table is. OptionError without one."""
        path = self.given.get("path", "")
        if not path:
            raise OptionError("no table is named", remedy='Write load("kb.shards") or save("kb.shards").')
        return path.removeprefix("file://") if path.startswith("file:///") else path

    def text(self, name: str) -> str | None:
        """The option ``name``, None without it."""
        return self.given.get(name)

    def names(self, name: str) -> list[str] | None:
        """The names with commas between them that the option ``name`` has."""
        text = self.given.get(name)
        return None if text is None else [part.strip() for part in text.split(",")]

    def number(self, name: str) -> int | None:
        """The number that the option ``name`` is. QueryError for another text."""
        text = self.given.get(name)
        if text is None:
            return None
        if not text.strip().isdecimal() or int(text) < 1:
            raise QueryError(f"{name} is a number from 1 on, not {text!r:.60}")
        return int(text)

    @property
    def version(self) -> int | str | None:
        """The number or the tag of the version to read."""
        text = self.given.get("version")
        return int(text) if text is not None and text.isdecimal() else text

    @property
    def of_table(self) -> dict[str, Any]:
        """Those of a new table."""
        names = [*TableOptions.__dataclass_fields__, *SHARD_OPTIONS]
        return {name: self.given[name] for name in names if name in self.given}

    @property
    def definitions(self) -> list[str] | None:
        """The columns of a new table in the words of SQL, one by one."""
        text = self.given.get("definitions")
        if text is None:
            return None
        parts, depth = [""], 0
        for letter in text:
            depth += (letter in "([") - (letter in ")]")
            if letter == "," and not depth:
                parts.append("")
            else:
                parts[-1] += letter
        return [part.strip() for part in parts]

"""Which files belonged together at which moment, and what any other mixture of them may show.

Between two events every table is *at rest*. The ledger then notes the content of each of its files, and the
state that they mean together. From that alone follows what somebody may see who opens a mixture of files of
different moments and copies, whatever the format is:

======================================================  ====================================================
the files                                               what opening them may do
======================================================  ====================================================
are exactly those of a moment at rest                   show the state of that moment, nothing else
lack the log that the base had at rest, always          refuse, unless no commit is missing that was
                                                        acknowledged
all belong to one history                               refuse, or show a state of it that is not older than
                                                        the newest moment at which one of them was made; a
                                                        base may have been made with the first record of its
                                                        log that was acknowledged, which can be missing
                                                        unnoticed
are a log, and the file of a copy of which no commit    the same: such a file is where the copy was made
was acknowledged since
belong to two histories                                 refuse
======================================================  ====================================================

A refusal names the file, what is wrong and the remedy. A state that never was is wrong in any case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from crash.workload import Model

Digests = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Rest:
    """The files of a table at rest, by name, and the state that they mean.

    acknowledged: the newest version that a writer acknowledged. That of the model may be a commit of one that
    was killed before.
    """

    files: Mapping[str, bytes]
    model: Model
    acknowledged: int


@dataclass(slots=True)
class History:
    """The moments at rest of one table, and those of the one that it was copied from."""

    rests: list[Rest] = field(default_factory=list)

    def fork(self) -> History:
        """The history of a copy."""
        return History(list(self.rests))

    def first_with(self, name: str, digest: bytes, log: str) -> int | None:
        """The version of which a file of this content knows: that at which it had it first.

        Of a file that came with a log, what was acknowledged before: since then there is the log alone.
        """
        before = 0
        for rest in self.rests:
            if rest.files.get(name) == digest:
                return before if name != log and log in rest.files else rest.model.newest
            before = rest.acknowledged
        return None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What opening may do: show one of ``models``, refuse if ``refusal``. why: the rule."""

    models: list[Model]
    refusal: bool
    why: str


@dataclass(slots=True)
class Ledger:
    """The contents of all files ever at rest, and the histories of all tables.

    before: of a file that was damaged and repaired, what it was: it knows no more than that.
    """

    contents: dict[bytes, bytes] = field(default_factory=dict)
    before: dict[bytes, bytes] = field(default_factory=dict)
    histories: list[History] = field(default_factory=list)

    def new_history(self, of: History | None = None) -> History:
        """The history of a new table, or of a copy."""
        history = History() if of is None else of.fork()
        self.histories.append(history)
        return history

    def digests(self, files: Mapping[str, bytes]) -> Digests:
        """The digest of each file; the contents are kept."""
        found = {name: hashlib.blake2b(data, digest_size=16).digest() for name, data in files.items()}
        self.contents.update((digest, files[name]) for name, digest in found.items())
        return found

    def note(
        self, history: History, files: Mapping[str, bytes], model: Model, acknowledged: int | None = None
    ) -> None:
        """The table is at rest. acknowledged: the newest version that was, by default that of the model."""
        newest = model.newest if acknowledged is None else acknowledged
        digests = self.digests(files)
        last = history.rests[-1] if history.rests else None
        if last is None or last.files != digests or last.model is not model or last.acknowledged != newest:
            history.rests.append(Rest(digests, model, newest))

    def repaired(self, old: bytes, new: bytes) -> None:
        """A file of these bytes was damaged, and has those now."""
        was, now = (hashlib.blake2b(data, digest_size=16).digest() for data in (old, new))
        if was != now:
            self.before[now] = self.before.get(was, was)

    def allowed(self, base: str, files: Digests) -> Allowed:
        """What somebody may see who opens these files; base: the name of the table's file."""
        exact = [rest.model for history in self.histories for rest in history.rests if rest.files == files]
        if exact:
            return Allowed(exact, False, "the files of one moment")
        log = f"{base}-wal"
        with_base = [
            rest
            for history in self.histories
            for rest in history.rests
            if rest.files.get(base) == files.get(base)
        ]
        if with_base and log not in files and all(log in rest.files for rest in with_base):
            acknowledged = max(rest.acknowledged for rest in with_base)
            newest = max(rest.model.newest for rest in with_base)
            whole = [
                rest.model
                for history in self.histories
                if any(rest in history.rests for rest in with_base)
                for rest in history.rests
                if acknowledged <= rest.model.newest <= newest
            ]
            return Allowed(whole, True, "the log is missing")
        models: list[Model] = []
        for history in self.histories:
            names = sorted(files)  # that of the base is the shortest
            known = [self.before.get(files[name], files[name]) for name in names]
            claims = [history.first_with(*each, log) for each in zip(names, known, strict=True)]
            if claims[0] is None and log in files:
                claims[0] = self._where_copied(files[base], base, log, history)
            if None not in claims:
                oldest = max(claim for claim in claims if claim is not None)
                models += [rest.model for rest in history.rests if rest.model.newest >= oldest]
        return Allowed(models, True, "files of one history" if models else "files of two histories")

    def _where_copied(self, digest: bytes, base: str, log: str, history: History) -> int | None:
        """The version of ``history`` that is all there is in a base of another one.

        It came alone, or with a log of which nothing was acknowledged: then it may say nothing of that log.
        """
        models: list[Model] = []
        for other in self.histories:
            for before, rest in zip([None, *other.rests], other.rests, strict=False):
                if rest.files.get(base) == digest and log not in rest.files:
                    models.append(rest.model)
                elif rest.files.get(base) == digest and before and before.model.newest == rest.acknowledged:
                    models.append(before.model)
        known = [rest.model.newest for rest in history.rests if any(rest.model is model for model in models)]
        return max(known, default=None)

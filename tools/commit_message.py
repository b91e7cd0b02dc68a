"""Check a commit message: ``python tools/commit_message.py FILE``; pre-commit calls it as a commit-msg hook.

    Split the segment writer by subject          at most 72 characters, imperative mood, no full stop
                                                 a blank line
    One class knew the spool, the catalog and    a body that says why, lines of at most 100 characters
    the labels. Each has a module now.

The mood is judged by the first word alone. It is refused if it ends like another form of a verb (*-ed*,
*-ing*, *-s*) or is an article or a pronoun, which begin descriptions. Merges, reverts, and what a rebase will
fold away need no body.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

SUBJECT_LENGTH = 72
LINE_LENGTH = 100
#: Imperatives that look like other forms.
IMPERATIVES = frozenset(
    [
        "access",
        "address",
        "assess",
        "bias",
        "bring",
        "bypass",
        "compress",
        "cross",
        "discuss",
        "dress",
        "embed",
        "exceed",
        "express",
        "feed",
        "focus",
        "guess",
        "miss",
        "need",
        "pass",
        "ping",
        "press",
        "proceed",
        "process",
        "progress",
        "seed",
        "shed",
        "spread",
        "speed",
        "string",
        "succeed",
        "suppress",
        "swing",
        "toss",
        "wed",
    ]
)
NO_VERBS = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "it",
        "its",
        "we",
        "i",
        "you",
        "they",
        "he",
        "she",
        "what",
        "which",
        "who",
        "where",
        "when",
        "why",
        "how",
        "no",
        "not",
        "now",
        "some",
        "all",
        "every",
        "each",
        "there",
        "here",
        "of",
        "for",
        "from",
        "with",
        "in",
        "on",
        "at",
        "to",
        "by",
        "as",
        "if",
        "and",
        "or",
        "but",
    ]
)
_FOLDED = re.compile(r"(fixup|squash|amend)! ")
_GENERATED = re.compile(r'(Merge (branch|branches|remote-tracking|tag|commit|pull request)|Revert ")')
_SCISSORS = re.compile(r"^# -+ >8 -+$", re.MULTILINE)


def faults(message: str) -> Iterator[str]:
    """What is wrong with ``message``, as git hands it over: with its comments."""
    text = _SCISSORS.split(message)[0]
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("#")]
    while lines and not lines[-1]:
        lines.pop()
    subject = lines[0] if lines else ""
    if _FOLDED.match(subject) or _GENERATED.match(subject):
        return
    if not subject:
        yield "the first line is empty: write a subject there"
        return
    yield from faults_of_subject(subject)
    if len(lines) < 2 or not any(lines[1:]):
        yield "there is no body: say why, after a blank line"
        return
    if lines[1]:
        yield "the second line is not blank"
    for number, line in enumerate(lines[1:], 2):
        if len(line) > LINE_LENGTH and " " in line.strip():
            yield f"line {number} has {len(line)} characters; {LINE_LENGTH} at most"


def faults_of_subject(subject: str) -> Iterator[str]:
    """What is wrong with the first line."""
    if len(subject) > SUBJECT_LENGTH:
        yield f"the subject has {len(subject)} characters; {SUBJECT_LENGTH} at most"
    if subject.endswith("."):
        yield "the subject ends with a full stop"
    match = re.match(r"[A-Za-z][A-Za-z-]*(?=\s|$)", subject)
    if match is None:
        yield "the subject does not begin with a verb"
        return
    word = match[0]
    if word[0].islower():
        yield "the subject begins with a small letter"
    if not imperative(word.lower()):
        yield f'"{word}" is no imperative: write "Add", not "Added", "Adds" or "The addition"'


def imperative(word: str) -> bool:
    """Whether a word in small letters can be one."""
    if word in IMPERATIVES:
        return True
    return word not in NO_VERBS and re.search(r"(ed|ing|[^su]s)$", word) is None


def main(path: str) -> int:
    """Check the message in a file; the exit code."""
    found = list(faults(Path(path).read_text()))
    for fault in found:
        print(f"commit message: {fault}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))

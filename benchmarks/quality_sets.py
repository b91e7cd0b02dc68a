"""Four collections of texts, queries and judgements, built from Debian packages.

| set | texts | a query | what answers it |
|---|---|---|---|
| answers | sections of the documentation of Perl and Python | a question that is often asked | the answer |
| topics | short descriptions of packages | what a tag of debtags says of itself | the packages that have it |
| manual | what manual pages describe | the line of NAME, without the name | the page |
| glosses | entries of a dictionary (GCIDE) | what WordNet says of synonyms, in other words | their entries |

Packages are fetched with ``apt-get download`` to a folder, once, and read there; nothing is installed. What
is drawn of many depends on a hash of it alone, so the same versions make the same sets on any machine.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.quality_texts import (
    Gloss,
    Section,
    dictionary,
    glosses,
    manual_sections,
    one_line,
    package_files,
    pod_sections,
    rst_sections,
    stanzas,
    tags_of,
)

#: Packages with manual pages of many kinds: system calls, commands, formats, libraries.
MANUALS = (
    "manpages",
    "manpages-dev",
    "git-man",
    "systemd",
    "iproute2",
    "coreutils",
    "util-linux",
    "e2fsprogs",
    "procps",
    "passwd",
    "perl-doc",
    "binutils-common",
)
#: Facets of debtags that say what a package is about, not how it is made.
TOPIC_FACETS = {
    "accessibility", "admin", "biology", "field", "game", "hardware", "junior", "mail", "network",
    "office", "protocol", "science", "security", "sound", "use", "web", "works-with", "works-with-format",
}  # fmt: skip
#: Words of a manual page's description that are taken: those of its beginning.
MOST_WORDS = 250
_STOPS = frozenset(("of", "or", "the", "to", "and", "for", "with", "from", "that", "into", "being"))
_T = TypeVar("_T")


@dataclass(slots=True)
class JudgedSet:
    """Texts, and queries with the rows that answer each, graded as in ``retrieval.ndcg``."""

    name: str
    texts: list[str] = field(default_factory=list)
    queries: list[tuple[str, dict[int, int]]] = field(default_factory=list)


class Packages:
    """Debian packages in a folder. ``used``: name, version and SHA-256 of each that was read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.used: dict[str, tuple[str, str]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def files(self, name: str) -> Iterator[tuple[str, bytes]]:
        """The files of a package, which is fetched when it is not there yet."""
        archive = self._archive(name).read_bytes()
        return package_files(archive)

    def available(self) -> str:
        """What ``apt-cache dumpavail`` says, as it was when it was first asked."""
        path = self._folder / "dumpavail.gz"
        if not path.exists():
            said = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True).stdout
            path.write_bytes(gzip.compress(said, mtime=0))
        text = gzip.decompress(path.read_bytes())
        self.used["dumpavail"] = f"{len(text):,} bytes", hashlib.sha256(text).hexdigest()
        return text.decode("utf-8", "replace")

    def _archive(self, name: str) -> Path:
        found = sorted(self._folder.glob(f"{name}_*.deb"))
        if not found:
            quiet = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", name]
            subprocess.run(quiet, check=True, cwd=self._folder)
            found = sorted(self._folder.glob(f"{name}_*.deb"))
        version = found[-1].name.split("_")[1].replace("%3a", ":")
        self.used[name] = version, hashlib.sha256(found[-1].read_bytes()).hexdigest()
        return found[-1]


def drawn(items: Iterable[_T], count: int, key: Callable[[_T], str]) -> list[_T]:
    """``count`` of ``items``, those whose keys have the lowest hashes, in the order of the hashes."""

    def hashed(item: _T) -> bytes:
        return hashlib.blake2b(key(item).encode("utf-8", "surrogatepass"), key=b"17", digest_size=8).digest()

    return sorted(items, key=hashed)[:count]


def answers(packages: Packages) -> JudgedSet:
    """Questions that are often asked about Perl and Python, among other sections of their documentation."""
    asked: list[Section] = []
    others: list[Section] = []
    for path, content in packages.files("perl-doc"):
        if path.endswith(".pod"):
            sections = pod_sections(content.decode("utf-8", "replace"))
            is_asked = re.search(r"/perlfaq[1-9]\.pod$", path) is not None
            (asked if is_asked else others).extend(s for s in sections if s.level == 2 or not is_asked)
    for path, content in packages.files("python3.11-doc"):
        if path.endswith(".rst.txt"):
            sections = rst_sections(content.decode("utf-8", "replace"))
            (asked if "/_sources/faq/" in path else others).extend(sections)
    questions = [each for each in _distinct(asked) if each.title.endswith("?") and _words(each.text) >= 15]
    known = {each.text for each in questions}
    rest = [each for each in _distinct(others) if _words(each.text) >= 30 and each.text not in known]
    judged = JudgedSet("answers", [each.text for each in questions])
    judged.queries = [(each.title, {row: 1}) for row, each in enumerate(questions)]
    judged.texts += [each.text for each in drawn(rest, 2000, lambda each: each.text)]
    return judged


def topics(packages: Packages) -> JudgedSet:
    """Packages and what they are tagged with."""
    described: dict[str, set[str]] = {}
    for package in stanzas(packages.available()):
        text = one_line(package.get("Description", "").split("\n")[0])
        tags = {tag for tag in tags_of(package.get("Tag", "")) if tag.split("::")[0] in TOPIC_FACETS}
        if text and tags and "(transitional" not in text:
            described.setdefault(text, set()).update(tags)
    chosen = drawn(described, 4000, str)
    judged = JudgedSet("topics", chosen)
    vocabulary = next(
        content for path, content in packages.files("debtags") if path.endswith("/debtags/vocabulary")
    )
    for stanza in stanzas(vocabulary.decode()):
        tag, says = stanza.get("Tag", ""), stanza.get("Description", "").split("\n")
        rows = {row: 1 for row, text in enumerate(chosen) if tag in described[text]}
        body = [line for line in says[1:] if not line.startswith(("Link:", "."))]
        if says[0] and 5 <= len(rows) <= 60:
            judged.queries.append((one_line(" ".join([says[0], *body])), rows))
    return judged


def manual(packages: Packages) -> JudgedSet:
    """Manual pages and their lines of NAME."""
    pages: dict[str, tuple[str, str]] = {}
    for package in MANUALS:
        for path, content in packages.files(package):
            if re.search(r"share/man/man[1-9]/[^/]*\.gz$", path):
                page = _page(gzip.decompress(content).decode("utf-8", "replace"))
                if page is not None:
                    pages.setdefault(path.rsplit("/", 1)[1].removesuffix(".gz"), page)
    families: Counter[str] = Counter()
    judged, seen = JudgedSet("manual"), set[str]()
    asked: list[tuple[str, int]] = []
    for name in drawn(pages, len(pages), str):
        line, text = pages[name]
        family = re.split(r"[-_.:0-9]", name)[0]
        if families[family] < 25 and line not in seen and text not in seen:
            families[family] += 1
            seen |= {line, text}
            asked.append((line, len(judged.texts)))
            judged.texts.append(text)
    judged.queries = [(line, {row: 1}) for line, row in drawn(asked, 400, lambda each: each[0])]
    return judged


def _page(source: str) -> tuple[str, str] | None:
    """What a page's line of NAME says, without the name, and its description; None if one says too little."""
    sections = manual_sections(source)
    names, hyphen, line = sections.get("NAME", "").partition(" - ")
    text = " ".join(sections.get("DESCRIPTION", "").split()[:MOST_WORDS])
    return (line, text) if hyphen and names and _words(line) >= 3 and _words(text) >= 15 else None


def dictionary_glosses(packages: Packages) -> JudgedSet:
    """Meanings in other words, and the entries of a dictionary."""
    index, archive = "", b""
    for path, content in packages.files("dict-gcide"):
        index = content.decode("utf-8", "replace") if path.endswith("gcide.index") else index
        archive = content if path.endswith("gcide.dict.dz") else archive
    entries: dict[str, list[str]] = {}
    for headword, text in dictionary(index, archive):
        entries.setdefault(headword.lower(), []).append(_entry(text))
    sets = [
        each
        for path, content in packages.files("wordnet-base")
        if re.search(r"/data\.(noun|verb|adj|adv)$", path)
        for each in glosses(content.decode("latin-1"))
    ]
    judged = JudgedSet("glosses")
    row_of: dict[str, int] = {}

    def row(text: str) -> int:
        if text not in row_of:
            row_of[text] = len(judged.texts)
            judged.texts.append(text)
        return row_of[text]

    asked = [each for each in sets if _is_asked(each, entries)]
    for each in drawn(asked, 300, lambda each: each.gloss):
        texts = dict.fromkeys(text for word in each.words for text in entries.get(word.lower(), ()))
        judged.queries.append((each.gloss, {row(text): 1 for text in texts}))
    rest = {texts[0]: 1 for texts in entries.values() if _words(texts[0]) >= 8 and texts[0] not in row_of}
    for text in drawn(rest, 1680, str):
        row(text)
    return judged


def _is_asked(gloss: Gloss, entries: dict[str, list[str]]) -> bool:
    """Whether a gloss has some words, none of its synonyms, and at least two of those have few entries."""
    said = set(re.findall(r"[a-z]+", gloss.gloss.lower()))
    beginnings = {word[:5] for word in said}
    held = [entries[word.lower()] for word in gloss.words if word.lower() in entries]
    parts = {part for word in gloss.words for part in re.findall(r"[a-z]+", word.lower())}
    return (
        len(said) >= 4
        and len(held) >= 2
        and sum(len(texts) for texts in held) <= 4
        and all(_words(text) >= 8 for texts in held for text in texts)
        and not {part[:5] for part in parts - _STOPS} & beginnings
    )


def _entry(text: str) -> str:
    """An entry without its marks of sources and its braces."""
    return one_line(re.sub(r"\[[^\]\n]*(?:Webster|WordNet|PJC)[^\]\n]*\]|[{}]", "", text))


def _distinct(sections: Iterable[Section]) -> list[Section]:
    """The first of each text, and of each title that is a question."""
    seen: set[str] = set()
    kept = []
    for each in sections:
        if each.text not in seen and not (each.title.endswith("?") and each.title in seen):
            seen |= {each.text, each.title}
            kept.append(each)
    return kept


def _words(text: str) -> int:
    return len(text.split())


#: What builds each set, in the order of the tables.
SETS: dict[str, Callable[[Packages], JudgedSet]] = {
    "answers": answers,
    "topics": topics,
    "manual": manual,
    "glosses": dictionary_glosses,
}

"""Requests whose right answers are known: of `audiomem serve`, of datasette, and of Chroma's server."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from load import truth

#: How often each kind is asked, of a hundred requests.
KINDS = {"row": 40, "page": 15, "words": 15, "nearest": 10, "sql": 10, "range": 10}
PAGE, RANGE = 100, 65_536
#: Rows as objects, and nothing that the others do not have to find out.
_PLAIN = "_shape=objects&_nocount=1&_nofacet=1&_nosuggest=1"
_COLUMNS = "id,title,body,year"
_SQL = (
    "SELECT year, count(*) AS n, sum(id) AS s FROM kb WHERE id BETWEEN {} AND {} GROUP BY year ORDER BY year"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request. check: whether the content of the answer is right; status: that of a right one."""

    kind: str
    path: str
    check: Callable[[bytes], bool]
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def method(self) -> str:
        """POST where there is a body."""
        return "GET" if self.body is None else "POST"


class Questions:
    """Questions about ``rows`` rows. A subclass has a method for each kind that its server answers."""

    def __init__(self, rows: int, chance: random.Random) -> None:
        self.rows = rows
        self.chance = chance

    def kinds(self) -> dict[str, int]:
        """What the server answers, and how often it is asked."""
        return {kind: weight for kind, weight in KINDS.items() if hasattr(self, kind)}

    def any(self) -> Question:
        """A question of any kind."""
        kinds = self.kinds()
        made: Question = getattr(self, self.chance.choices(list(kinds), list(kinds.values()))[0])()
        return made

    def number(self, most: int | None = None) -> int:
        """The number of a row."""
        return self.chance.randint(1, self.rows if most is None else most)

    def page_start(self) -> int:
        """A row that has a page behind it."""
        return self.number(self.rows - PAGE)


def years(start: int, stop: int) -> list[dict[str, int]]:
    """The answer of the statement."""
    counts: Counter[int] = Counter()
    sums: Counter[int] = Counter()
    for number in range(start, stop + 1):
        year = 1970 + number % truth.YEARS
        counts[year] += 1
        sums[year] += number
    return [{"year": year, "n": counts[year], "s": sums[year]} for year in sorted(counts)]


class OfAudiomem(Questions):
    """Those of `audiomem serve`. content: the bytes of the file, None where they change."""

    def __init__(self, rows: int, chance: random.Random, vectors: Any, content: bytes | None) -> None:
        super().__init__(rows, chance)
        self._vectors = vectors
        self._content = content

    def kinds(self) -> dict[str, int]:
        """All, but ranges of a file that is not known."""
        return {k: n for k, n in super().kinds().items() if k != "range" or self._content is not None}

    def row(self) -> Question:
        """A row by its key."""
        number = self.number()
        path = f"/tables/kb/rows/{number}?columns={_COLUMNS}"
        return Question("row", path, lambda content: json.loads(content) == truth.row(number))

    def page(self) -> Question:
        """A page of rows."""
        start = self.page_start()
        path = f"/tables/kb/rows?columns={_COLUMNS}&limit={PAGE}&where=id%3E%3F&parameter={start}"
        wanted = range(start + 1, start + PAGE + 1)
        return Question(
            "page", path, lambda content: json.loads(content)["rows"] == list(map(truth.row, wanted))
        )

    def words(self) -> Question:
        """The rows that have a word."""
        remainder = self.chance.randrange(truth.TOPICS)
        path = f"/tables/kb/search?k=50&columns=id,title&query={quote('words: ' + truth.topic(remainder))}"
        wanted = truth.of_topic(remainder, self.rows)

        def check(content: bytes) -> bool:
            found = json.loads(content)["rows"]
            return sorted(each["id"] for each in found) == wanted and all(
                each["title"] == truth.title(each["id"]) for each in found
            )

        return Question("words", path, check)

    def nearest(self) -> Question:
        """The ten rows that are nearest to one."""
        number = self.number()
        body = {"vector": self._vectors[number - 1].tolist(), "k": truth.CLUSTER, "columns": ["id"]}

        def check(content: bytes) -> bool:
            found = [each["id"] for each in json.loads(content)["rows"]]
            return found[0] == number and sorted(found) == truth.of_cluster(number)

        return Question("nearest", "/tables/kb/search", check, body)

    def sql(self) -> Question:
        """A statement that counts."""
        start = self.page_start()
        body = {"sql": _SQL.format("?", "?"), "parameters": [start, start + 99]}
        return Question(
            "sql", "/sql", lambda content: json.loads(content)["rows"] == years(start, start + 99), body
        )

    def range(self) -> Question:
        """A part of the file."""
        assert self._content is not None
        start = self.chance.randrange(max(1, len(self._content) - RANGE))
        wanted = self._content[start : start + RANGE]
        headers = {"Range": f"bytes={start}-{start + RANGE - 1}"}
        return Question("range", "/tables/kb/file", lambda content: content == wanted, None, headers, 206)


class OfDatasette(Questions):
    """Those of datasette, whose database ``kb`` has the table ``kb`` with FTS5."""

    def row(self) -> Question:
        """A row by its key."""
        number = self.number()
        path = f"/kb/kb/{number}.json?_shape=objects"
        return Question("row", path, lambda content: json.loads(content)["rows"] == [truth.row(number)])

    def page(self) -> Question:
        """A page of rows."""
        start = self.page_start()
        path = f"/kb/kb.json?_size={PAGE}&id__gt={start}&{_PLAIN}"
        wanted = range(start + 1, start + PAGE + 1)
        return Question(
            "page", path, lambda content: json.loads(content)["rows"] == list(map(truth.row, wanted))
        )

    def words(self) -> Question:
        """The rows that have a word."""
        remainder = self.chance.randrange(truth.TOPICS)
        path = f"/kb/kb.json?_size=50&_search={truth.topic(remainder)}&_col=title&{_PLAIN}"
        wanted = truth.of_topic(remainder, self.rows)
        return Question(
            "words",
            path,
            lambda content: sorted(each["id"] for each in json.loads(content)["rows"]) == wanted,
        )

    def sql(self) -> Question:
        """A statement that counts."""
        start = self.page_start()
        path = f"/kb.json?_shape=objects&sql={quote(_SQL.format(':a', ':b'))}&a={start}&b={start + 99}"
        return Question("sql", path, lambda content: json.loads(content)["rows"] == years(start, start + 99))


class OfChroma(Questions):
    """Those of Chroma. collection: its identifier."""

    def __init__(self, rows: int, chance: random.Random, vectors: Any, collection: str) -> None:
        super().__init__(rows, chance)
        self._vectors = vectors
        self._path = f"/api/v2/tenants/default_tenant/databases/default_database/collections/{collection}"

    @staticmethod
    def _rows(content: bytes) -> list[dict[str, Any]]:
        found = json.loads(content)
        columns = zip(found["ids"], found["documents"], found["metadatas"], strict=True)
        return sorted(
            ({"id": int(key), "body": text, **more} for key, text, more in columns), key=lambda x: x["id"]
        )

    def row(self) -> Question:
        """A row by its key."""
        number = self.number()
        body = {"ids": [str(number)], "include": ["documents", "metadatas"]}
        return Question(
            "row", f"{self._path}/get", lambda content: self._rows(content) == [truth.row(number)], body
        )

    def page(self) -> Question:
        """A page of rows, in the order in which they came."""
        start = self.page_start()
        body = {"limit": PAGE, "offset": start, "include": ["documents", "metadatas"]}
        wanted = [truth.row(number) for number in range(start + 1, start + PAGE + 1)]
        return Question("page", f"{self._path}/get", lambda content: self._rows(content) == wanted, body)

    def words(self) -> Question:
        """The rows that have a word."""
        remainder = self.chance.randrange(truth.TOPICS)
        body = {
            "where_document": {"$contains": truth.topic(remainder)},
            "limit": 50,
            "include": ["metadatas"],
        }
        wanted = truth.of_topic(remainder, self.rows)
        return Question(
            "words",
            f"{self._path}/get",
            lambda content: sorted(map(int, json.loads(content)["ids"])) == wanted,
            body,
        )

    def nearest(self) -> Question:
        """The ten rows that are nearest to one."""
        number = self.number()
        body = {
            "query_embeddings": [self._vectors[number - 1].tolist()],
            "n_results": truth.CLUSTER,
            "include": ["distances"],
        }
        wanted = truth.of_cluster(number)
        return Question(
            "nearest",
            f"{self._path}/query",
            lambda content: sorted(map(int, json.loads(content)["ids"][0])) == wanted,
            body,
        )

"""How a search by meaning and by words ranks: the options of fusion and of reranking, checked once.

They have the same names in Python, SQL, DuckDB and in the shell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypedDict

from audiomem_sql.arrays import F64Array
from audiomem_sql.columns.arguments import parse_options
from audiomem_sql.errors import OptionError, QueryError, did_you_mean
from audiomem_sql.search.ranking.column_weights import column_weights_of

STANDARDISED, RRF = "standardised", "rrf"
#: The share of meaning: of a standardised sum it is that of docs/VECTORS.md; of reciprocal ranks both count
#: alike.
WEIGHTS = {STANDARDISED: 0.65, RRF: 0.5}
#: k of reciprocal ranks, as Cormack, Clarke and Büttcher (2009) chose it.
RANK_CONSTANT = 60
#: Rows that a reranker is given, and the most that it may be given.
RERANK_ROWS = 100
MOST_RERANKED = 10_000

#: Scores of texts for a query, higher is better: ``(query, texts) -> scores``.
Reranker: TypeAlias = Callable[[str, list[str]], Sequence[float] | F64Array]


class RankingOptions(TypedDict, total=False):
    """The options of a :class:`Ranking` as arguments of Python; None is the default of each."""

    fusion: str | None
    weight: float | None
    rank_constant: int | None
    rerank: Reranker | str | None
    rerank_rows: int | None
    column_weights: Mapping[str, float] | str | None


NAMES = tuple(RankingOptions.__annotations__)
_OBJECT = r"""\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}"""
_PART = re.compile(rf"""(?:[^,'"{{]|{_OBJECT}|'(?:[^']|'')*'|"(?:[^"]|"")*"|['"{{])+""", re.DOTALL)
#: An option whose value is an object of JSON, without quotes around it.
_WITH_OBJECT = re.compile(rf"(\s*\w+\s*=\s*)({_OBJECT})\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How rows are ranked.

    fusion: ``standardised`` or ``rrf``. weight: the share of meaning, 0 to 1; words have the rest.
    rank_constant: the k of reciprocal ranks. rerank: what orders the best ``rerank_rows`` rows anew: a
    callable, or the name of a cross-encoder; None: nothing. column_weights: how much a word counts in each
    column, by name; 1 in those that are not named.
    """

    fusion: str = STANDARDISED
    weight: float = WEIGHTS[STANDARDISED]
    rank_constant: int = RANK_CONSTANT
    rerank: Reranker | str | None = None
    rerank_rows: int = RERANK_ROWS
    column_weights: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        fusion: Any = None,
        weight: Any = None,
        rank_constant: Any = None,
        rerank: Any = None,
        rerank_rows: Any = None,
        column_weights: Any = None,
    ) -> Ranking:
        """The options that are given; None stands for the default. QueryError for what none can be."""
        fusion = STANDARDISED if fusion is None else _fusion(fusion)
        if rank_constant is not None and fusion != RRF:
            raise QueryError(
                "rank_constant is of reciprocal ranks only",
                remedy="Write fusion = rrf as well, or leave it out.",
            )
        if rerank is not None and not callable(rerank) and not (isinstance(rerank, str) and rerank.strip()):
            raise QueryError(
                f"rerank = {rerank!r:.80} is no reranker",
                remedy="Pass a callable (query, texts) -> scores, or the name of a cross-encoder.",
            )
        if rerank is None and rerank_rows is not None:
            raise QueryError(
                "rerank_rows is of a reranker only", remedy="Say which with rerank as well, or leave it out."
            )
        return cls(
            fusion,
            WEIGHTS[fusion] if weight is None else _share(weight),
            RANK_CONSTANT if rank_constant is None else _count("rank_constant", rank_constant, 1_000_000),
            rerank,
            RERANK_ROWS if rerank_rows is None else _count("rerank_rows", rerank_rows, MOST_RERANKED),
            {} if column_weights is None else column_weights_of(column_weights),
        )

    @classmethod
    def parse(cls, text: Any) -> Ranking:
        """The options that a text names: ``fusion=rrf, rank_constant=20``; None: those without a text.

        QueryError for any other text.
        """
        if text is None:
            return cls()
        if not isinstance(text, str):
            raise QueryError(f"{text!r:.80} says no ranking", remedy=_EXAMPLE)
        try:
            options = parse_options(_quoted(part) for part in _PART.findall(text) if part.strip())
        except OptionError as error:
            raise QueryError(error.what, remedy=error.remedy or _EXAMPLE) from None
        for name in options:
            if name not in NAMES:
                raise QueryError(
                    f"a ranking has no option {name!r:.80}",
                    remedy=f"{did_you_mean(name, NAMES)}It has {', '.join(NAMES)}.",
                )
        return cls.of(**options)

    @property
    def options(self) -> RankingOptions:
        """The options that make it."""
        options = RankingOptions(fusion=self.fusion, weight=self.weight)
        if self.fusion == RRF:
            options["rank_constant"] = self.rank_constant
        if self.rerank is not None:
            options |= RankingOptions(rerank=self.rerank, rerank_rows=self.rerank_rows)
        if self.column_weights:
            options["column_weights"] = self.column_weights
        return options


_EXAMPLE = "Write a text such as 'fusion=rrf, rank_constant=20'."


def _quoted(part: str) -> str:
    """An option, an object of JSON in quotes."""
    said = _WITH_OBJECT.fullmatch(part)
    return part if said is None else said[1] + "'" + said[2].replace("'", "''") + "'"


def _fusion(value: Any) -> str:
    name = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(name, str) or name not in WEIGHTS:
        raise QueryError(
            f"there is no fusion {value!r:.80}",
            remedy=f"{did_you_mean(value, WEIGHTS)}It is {' or '.join(WEIGHTS)}.",
        )
    return name


def _share(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:  # NaN is neither
        raise QueryError(
            f"weight = {value!r:.80} is no share of meaning",
            remedy="Write a number from 0 (words alone) to 1 (meaning alone), such as 0.65.",
        )
    return number


def _count(name: str, value: Any, most: int) -> int:
    number = _number(value)
    if number is None or not math.isfinite(number) or number != int(number) or not 1 <= number <= most:
        raise QueryError(
            f"{name} = {value!r:.80} is no number from 1 to {most:,}",
            remedy=f"Write {name} = {_USUAL[name]}.",
        )
    return int(number)


_USUAL = {"rank_constant": RANK_CONSTANT, "rerank_rows": RERANK_ROWS}


def _number(value: Any) -> float | None:
    """A number, or a text that is one, as float; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


DEFAULT_RANKING = Ranking()

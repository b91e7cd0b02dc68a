"""What INDEXED says of a column of vectors: how nearness is measured, and what the index keeps of a vector.

    vec FLOAT[384] INDEXED(metric=cosine)
    vec FLOAT[768] INDEXED(metric=l2, dimensions=256, codes=int8)

Metrics have the names that pgvector, sqlite-vec and DuckDB's vss use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from audiomem_sql.errors import SchemaError, did_you_mean

COSINE: Final = "cosine"
L2: Final = "l2"
INNER_PRODUCT: Final = "ip"
METRICS = (COSINE, L2, INNER_PRODUCT)
#: What other systems call them.
_SYNONYMS = {"euclidean": L2, "l2sq": L2, "inner_product": INNER_PRODUCT, "dot": INNER_PRODUCT}

COMPACT: Final = "compact"
SMALL: Final = "small"
INT8: Final = "int8"
CODES = (COMPACT, SMALL, INT8)
#: Finer than compact, for vectors of texts, which are stored by their codes alone.
FINE: Final = "fine"

_OPTIONS = ("metric", "dimensions", "codes")
_REMEDY = (
    "Write INDEXED(metric=cosine), l2 or ip, and, if wanted, dimensions=128, codes=compact, small or int8"
)
_OPTION = re.compile(r"""\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?:'([^']*)'|"([^"]*)"|([A-Za-z0-9_]+))\s*""")


@dataclass(frozen=True, slots=True)
class VectorIndexOptions:
    """metric: cosine, l2 or ip. dimensions: the index has the first so many numbers; None: all of them.

    codes: ``compact``, about 160 bytes for 384 numbers; ``small``, about 60; ``int8``, a byte a number.
    """

    metric: str = COSINE
    dimensions: int | None = None
    codes: str = COMPACT

    def __str__(self) -> str:
        """The options as they are written, without the usual ones."""
        parts = [f"metric={self.metric}"]
        if self.dimensions is not None:
            parts.append(f"dimensions={self.dimensions}")
        if self.codes != COMPACT:
            parts.append(f"codes={self.codes}")
        return ", ".join(parts)

    @classmethod
    def parse(cls, text: str) -> VectorIndexOptions:
        """The inverse; an empty text is an index by cosine.

        SchemaError, without a place, for what means nothing.
        """
        settings: dict[str, str] = {}
        for part in text.split(",") if text.strip() else ():
            match = _OPTION.fullmatch(part)
            if match is None:
                raise SchemaError(f"INDEXED({text:.80}) cannot be understood", remedy=_REMEDY)
            name = match[1].lower()
            if name == "distance_metric":
                name = "metric"
            if name not in _OPTIONS:
                hint = did_you_mean(name, _OPTIONS)
                raise SchemaError(f"an index of vectors has no option {match[1]}", remedy=f"{hint}{_REMEDY}")
            if name in settings:
                raise SchemaError(f"INDEXED says {name} twice", remedy=_REMEDY)
            settings[name] = next(group for group in match.groups()[1:] if group is not None)
        return cls(
            _chosen("metric", settings.get("metric", COSINE), METRICS),
            _dimensions(settings["dimensions"]) if "dimensions" in settings else None,
            _chosen("codes", settings.get("codes", COMPACT), CODES),
        )

    def check(self, width: int) -> None:
        """SchemaError, without a place, unless vectors of ``width`` numbers can have this index."""
        if self.dimensions is not None and not 1 <= self.dimensions <= width:
            raise SchemaError(
                f"an index of {self.dimensions} numbers, of vectors that have {width}",
                remedy=f"Write dimensions=1 to {width}, or leave it out",
            )


def _chosen(name: str, value: str, known: tuple[str, ...]) -> str:
    folded = value.lower()
    folded = _SYNONYMS.get(folded, folded)
    if folded not in known:
        raise SchemaError(f"{name}={value} means nothing", remedy=f"{did_you_mean(folded, known)}{_REMEDY}")
    return folded


def _dimensions(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise SchemaError(f"dimensions={value} is no number", remedy=_REMEDY)
    return int(value)

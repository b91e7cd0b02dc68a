"""``vector_codes=fine``: the vectors of texts in smaller steps, from the first segment to the last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.errors import FormatVersionError, OptionError
from audiomem_sql.indexes.vectors import VectorIndex
from audiomem_sql.search import embedder_of
from audiomem_sql.storage.segment import TableOptions, catalog_packing
from audiomem_sql.storage.segment.catalog_features import VECTOR_TRELLIS
from audiomem_sql.table.table import Table

TEXTS = [f"row {n} of {n % 7} words about {n % 13} things {n * n % 101}" for n in range(2100)]


def made(path: Path, options: dict[str, str]) -> float:
    """A table of TEXTS; the mean error of its vectors after a vacuum."""
    with Table.create(
        path, ["body TEXT SEMANTIC"], {"model": "hashing", "protection": "none"} | options
    ) as table:
        table.append([{"body": text} for text in TEXTS])
        table.append([{"body": "one more"}])
        table.vacuum()
        (segment,) = (segment for segment in table.snapshot.segments if segment.rows)
        index = segment.vector_index(1)
        assert isinstance(index, VectorIndex)
        exact = embedder_of("hashing", "torch").embed(TEXTS)
        return float(np.linalg.norm(index.vectors(np.arange(len(TEXTS))) - exact, axis=1).mean())


def test_smaller_steps_are_nearer(tmp_path: Path) -> None:
    usual, fine = made(tmp_path / "a.flac", {}), made(tmp_path / "b.flac", {"vector_codes": "FINE"})
    assert fine < 0.65 * usual
    assert (tmp_path / "a.flac").stat().st_size < (tmp_path / "b.flac").stat().st_size
    with Table(tmp_path / "b.flac") as table:
        assert table.options.vector_codes == "fine"
    with Table(tmp_path / "a.flac") as table:
        assert table.options.vector_codes == "compact"
        assert "vector_codes" not in table.options.to_catalog()


def test_an_older_reader_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes of a trellis are refused by name. A segment that borrows the codec says it, too."""
    path = tmp_path / "t.flac"
    made(path, {"vector_codes": "fine"})
    with Table(path) as table:
        table.append([{"body": "another"}])
        table.checkpoint()
        catalogs = [segment.catalog for segment in table.snapshot.segments if segment.rows]
        assert [catalog.vectors[1].has_trellis for catalog in catalogs] == [True, True]
    known = {name: needed for name, needed in catalog_packing.FEATURES.items() if name != VECTOR_TRELLIS}
    monkeypatch.setattr(catalog_packing, "FEATURES", known)
    with pytest.raises(FormatVersionError, match=VECTOR_TRELLIS), Table(path):
        pass


def test_few_vectors_need_no_trellis(tmp_path: Path) -> None:
    """Whole bytes are read by older versions, as they always were."""
    with Table.create(tmp_path / "t.flac", ["body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        table.append([{"body": text} for text in TEXTS[:300]])
        table.checkpoint()
        catalogs = [segment.catalog for segment in table.snapshot.segments if segment.rows]
        assert [catalog.vectors[1].has_trellis for catalog in catalogs] == [False]


def test_codes_that_do_not_exist() -> None:
    with pytest.raises(OptionError, match="vector_codes 'coarse' does not exist"):
        TableOptions.parse({"vector_codes": "coarse"})

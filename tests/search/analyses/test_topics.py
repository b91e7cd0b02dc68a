"""Clusters of rows, their words, and the map of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import AudioMemError, OptionError, QueryError, StorageError
from audiomem_sql.search.analyses import kmeans, topics
from audiomem_sql.search.analyses.kmeans import centres_of, nearest_centres
from audiomem_sql.search.analyses.plane import layout
from audiomem_sql.search.analyses.topics import usual_count
from audiomem_sql.table import map_drawing, table_map

SUBJECTS = {
    "cats": "The cats purr and sleep on a warm sofa beside the dogs {}",
    "password": "To reset a password the user gets a mail with a link {}",
    "frames": "A FLAC frame holds samples of all channels and a checksum {}",
}
FILLERS = ("today", "again", "once more", "forever", "here", "there", "quickly", "slowly")


@pytest.fixture
def texts(tmp_path: Path) -> am.Table:
    """Three subjects, of which the first has the most rows."""
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "subject TEXT"]
    table = am.Table.create(tmp_path / "texts.flac", columns, {"model": "hashing"})
    rows = [
        {"body": text.format(filler), "subject": subject}
        for number, (subject, text) in enumerate(SUBJECTS.items())
        for filler in FILLERS[number:]
    ]
    table.append(rows[::2])
    table.append([*rows[1::2], {"body": None, "subject": "none"}])
    return table


def blobs(count: int = 300, groups: int = 5) -> tuple[F32Array, list[int]]:
    rng = np.random.default_rng(2)
    points = rng.standard_normal((groups, 24)) * 3
    numbers = np.repeat(np.arange(groups), count // groups)
    return (points[numbers] + 0.3 * rng.standard_normal((count, 24))).astype(np.float32), numbers.tolist()


@pytest.mark.parametrize("spherical", [True, False])
def test_clusters_of_blobs(spherical: bool) -> None:
    vectors, numbers = blobs()
    if spherical:
        vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    centres = centres_of(vectors, 5, spherical=spherical)
    members = nearest_centres(vectors, centres, spherical=spherical)[:, 0].tolist()
    assert len(set(zip(members, numbers, strict=True))) == 5
    for number in range(5):
        mean = vectors[np.array(members) == number].mean(axis=0)
        mean = mean / np.linalg.norm(mean) if spherical else mean
        assert np.allclose(centres[number], mean, atol=1e-4)
    assert np.array_equal(centres, centres_of(vectors, 5, spherical=spherical))
    two = nearest_centres(vectors, centres, count=2, spherical=spherical)
    away = np.linalg.norm(vectors[:, None] - centres[None], axis=2)
    assert np.array_equal(two, np.argsort(away, axis=1)[:, :2])


def test_fewer_vectors_than_centres() -> None:
    same = np.ones((6, 2), np.float32)
    assert len(centres_of(same, 3, spherical=False)) == 3
    assert len(centres_of(same[:2], 3, spherical=False)) == 2


def test_words_name_the_clusters(texts: am.Table) -> None:
    with texts:
        found = texts.clusters().to_pylist()
        assert [row["cluster"] for row in found] == [1, 2, 3]
        assert [row["size"] for row in found] == [8, 7, 6]
        for row, subject in zip(found, SUBJECTS, strict=True):
            words = row["words"].split(", ")
            assert 3 <= len(words) <= 5
            assert set(words) <= set(SUBJECTS[subject].lower().split())
            assert not {"the", "and", "a", "on", "of", "to"} & set(words)
            assert texts.get(row["centre"])["subject"] == subject  # type: ignore[index]
        members = texts.cluster_rows().to_pylist()
        assert [row["row_id"] for row in members] == list(range(1, 22))
        for row in members:
            subject = texts.get(row["row_id"])["subject"]  # type: ignore[index]
            assert list(SUBJECTS)[row["cluster"] - 1] == subject
        for row in found:
            here = [each for each in members if each["cluster"] == row["cluster"]]
            assert min(here, key=lambda each: each["distance"])["row_id"] == row["centre"]
            assert all(0 <= each["distance"] <= 2 for each in here)


def test_a_word_is_worth_what_the_others_lack(tmp_path: Path) -> None:
    """A word of all clusters names none, and one that another cluster shares comes later."""
    own = ("alpha", "beta", "gamma")
    with am.Table.create(tmp_path / "t.flac", ["vec FLOAT[3]", "note TEXT"]) as table:
        for number, word in enumerate(own):
            vector = [float(number == axis) for axis in range(3)]
            shared = "" if number == 2 else "shared"
            table.append([{"vec": vector, "note": f"common {shared} {word}"}] * (6 - number))
        words = table.clusters(k=3)["words"].to_pylist()
    assert words == ["alpha, shared", "beta, shared", "gamma"]


def test_some_rows_and_versions(texts: am.Table) -> None:
    with texts:
        assert texts.clusters(where="subject <> 'cats'", k=2)["size"].to_pylist() == [7, 6]
        assert texts.clusters(where="subject = ?", parameters=("cats",), k=1)["size"].to_pylist() == [8]
        assert sum(texts.checkout(version=2).clusters("body", 3)["size"].to_pylist()) == 11
        assert texts.clusters(where="subject = 'none'").num_rows == 0
        assert sum(texts.clusters(k=1000)["size"].to_pylist()) == 21
        texts.vacuum()
        assert texts.clusters()["size"].to_pylist() == [8, 7, 6]


def test_own_vectors(tmp_path: Path) -> None:
    """Words come from the texts of the rows; without any there are none. Zeros have no direction."""
    vectors, numbers = blobs(60, 3)
    for metric, definition in (("cosine", ""), ("l2", "INDEXED(metric=l2)")):
        path = tmp_path / f"{metric}.flac"
        columns = ["id INTEGER PRIMARY KEY", f"vec FLOAT[24] {definition}", "note TEXT"]
        words = ("apples", "pears", "plums")
        with am.Table.create(path, columns) as table:
            table.append(
                [
                    {"vec": vector.tolist(), "note": f"{words[number]} and such"}
                    for vector, number in zip(vectors, numbers, strict=True)
                ]
            )
            table.append([{"vec": [0.0] * 24, "note": None}, {"vec": None, "note": "none"}])
            found = table.clusters(k=3).to_pylist()
            assert {row["words"] for row in found} == set(words)
            assert sum(row["size"] for row in found) == (60 if metric == "cosine" else 61)
    with am.Table.create(tmp_path / "bare.flac", ["vec FLOAT[24]"]) as table:
        table.append([{"vec": vector.tolist()} for vector in vectors])
        assert table.clusters(k=2)["words"].to_pylist() == ["", ""]


def test_how_many() -> None:
    assert [usual_count(rows) for rows in (1, 2, 8, 50, 200, 800, 10**6)] == [1, 1, 2, 5, 10, 20, 20]


@pytest.mark.parametrize("k", [0, -1, 1001, 2.5, "3", True])
def test_no_number_of_clusters(texts: am.Table, k: object) -> None:
    with texts, pytest.raises(QueryError, match=r"texts\.flac: k = .* is no number of clusters"):
        texts.clusters(k=k)  # type: ignore[arg-type]


@pytest.mark.parametrize("column", ["id", "subject", "nix", 5])
def test_no_vectors(texts: am.Table, column: str) -> None:
    with texts, pytest.raises(AudioMemError, match=r"texts\.flac: .*column"):
        texts.map(column)


def test_clusters_of_one_size_are_numbered_by_their_first_rows(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "t.flac", ["vec FLOAT[4]"]) as table:
        table.append([{"vec": [float(axis == row % 4) for axis in range(4)]} for row in range(12)])
        assert table.cluster_rows(k=4)["cluster"].to_pylist() == [1, 2, 3, 4] * 3


def test_what_names_a_cluster() -> None:
    """No word of one text among ten; of words with one stem the most frequent; of a text its beginning."""
    texts = (
        ["connections apples"] * 7 + ["connection apples"] * 2 + ["connection apples quirk", *["pears"] * 9]
    )
    found = topics._telling_words(pa.array(texts), np.repeat([0, 1], [10, 9]), 2)
    assert found == [("apples", "connections"), ("pears",)]
    few = topics._telling_words(pa.array(texts[1:]), np.repeat([0, 1], [9, 9]), 2)
    assert set(few[0]) == {"apples", "connections", "quirk"}
    joined = topics._joined([pa.array(["a" * 3000, None]), pa.array(["b", "c" * 2001])])
    assert joined.to_pylist() == ["a" * 2000 + " b", "c" * 2000]


def test_chinese_words(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "t.flac", ["body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        table.append([{"body": body} for body in ["重置密码", "猫和狗"] * 4])
        words = ", ".join(table.clusters(k=2)["words"].to_pylist()).split(", ")
        assert {"密码", "重置"} <= set(words)


def test_words_are_spelt_as_the_texts_spell_them(tmp_path: Path) -> None:
    spelt = ["đặt", "straße", "løber", "ışık", "łąka"]
    with am.Table.create(tmp_path / "t.flac", ["vec FLOAT[1]", "note TEXT"]) as table:
        table.append([{"vec": [1.0], "note": " ".join(spelt)}] * 2)
        assert set(table.clusters(k=1)["words"].to_pylist()[0].split(", ")) == set(spelt)


# -- the map
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("laid_out", [5000, 120])
def test_what_is_near_is_near_on_the_map(
    monkeypatch: pytest.MonkeyPatch, spherical: bool, laid_out: int
) -> None:
    monkeypatch.setattr("audiomem_sql.search.analyses.plane.LAID_OUT", laid_out)
    vectors, numbers = blobs()
    if spherical:
        vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    places = layout(vectors, spherical=spherical)
    assert np.array_equal(places, layout(vectors, spherical=spherical))
    assert np.abs(places).max() <= 1
    assert np.ptp(places, axis=0).max() > 1
    assert (np.abs(places).max(axis=1) <= 0.9).mean() > 0.94
    away = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(away, np.inf)
    groups = np.array(numbers)
    assert (groups[away.argmin(axis=1)] == groups).mean() > 0.98


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_few_rows(count: int) -> None:
    for vectors in (np.ones((count, 4), np.float32) / 2, np.eye(8, dtype=np.float32)[:count]):
        places = layout(vectors)
        assert places.shape == (count, 2)
        assert np.isfinite(places).all()
    assert layout(np.ones((count, 1), np.float32), spherical=False).shape == (count, 2)


def test_map_of_a_table(texts: am.Table, tmp_path: Path) -> None:
    with texts:
        shown = texts.map(k=3)
    assert len(shown) == 21
    assert shown.to_arrow().column_names == ["row_id", "x", "y", "cluster"]
    assert shown.to_arrow()["cluster"].to_pylist() == shown.numbers.tolist()
    for width, height in ((0, 3), (3, -1), (2.5, 3), (True, 3)):
        with pytest.raises(OptionError, match="no size of a map"):
            shown.text(width, height)  # type: ignore[arg-type]
    assert "A" in shown.text(1, 1)
    text = shown.text(40, 12)
    lines = text.splitlines()
    assert lines[0] == "texts: 21 rows"
    assert max(map(len, lines[1:13])) <= 40
    drawn = "".join(lines[1:13]).replace(" ", "")
    assert set(drawn) == set("ABC")
    assert [line[:2] for line in lines[13:]] == ["A ", "B ", "C "]
    assert "(8 rows)" in lines[13]
    for name in ("map.png", "map.svg", "map.PDF"):
        shown.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 2000
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert "cats" not in shown.title
    html = shown._repr_html_()
    assert html.count("<tr>") == 4
    assert "data:image/png;base64," in html
    png = shown._repr_png_()
    assert png is not None
    assert png[:4] == b"\x89PNG"
    with pytest.raises(OptionError, match="no kind of picture"):
        shown.save(tmp_path / "map.gif")
    with pytest.raises(StorageError, match="cannot be written"):
        shown.save(tmp_path / "nowhere" / "map.png")


def test_without_matplotlib_a_notebook_shows_the_clusters(
    texts: am.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with texts:
        shown = texts.map(k=3)
    assert shown._repr_png_() is None
    html = shown._repr_html_()
    assert "<img" not in html
    assert html.count("<tr>") == 4
    assert "password" in shown.text()


def test_what_comes_from_the_table_is_escaped(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "a$b<i>.flac", ["body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        table.append([{"body": "one $x_1$ two"}, {"body": "three four"}])
        shown = table.map()
        assert "<i>" not in shown._repr_html_()
        assert shown._repr_png_() is not None


def test_labels_do_not_overlap(texts: am.Table) -> None:
    """Every cluster is labelled, also where all of them have their middle in one place."""
    with texts:
        shown = texts.map(k=15)
    crowded = table_map.TableMap(
        shown.title, shown.clusters, shown.rowids, np.zeros_like(shown.places), shown.numbers
    )
    for drawn in (shown, crowded):
        figure = map_drawing._figure(drawn)
        axes = figure.axes[0]
        renderer = figure.canvas.get_renderer()
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        assert len(boxes) == len(drawn.clusters)
        for number, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:number])
            assert axes.bbox.contains(box.x0, box.y0)
            assert axes.bbox.contains(box.x1, box.y1)
    looks = {tuple(map_drawing._look(each).values()) for each in shown.clusters}
    assert len(looks) == len(shown.clusters)


def test_more_clusters_than_letters() -> None:
    assert [table_map.letter_of(number) for number in (1, 26, 27, 52, 53, 99)] == list("AZaz**")


def test_opposite_vectors_have_no_middle() -> None:
    """The centre of vectors that cancel each other stays where it is."""
    vectors = np.array([[1, 0], [-1, 0], [0, 2]], np.float32)
    centres = np.array([[0.6, 0.8], [1, 0]], np.float32)
    moved = kmeans._moved(vectors, np.array([0, 0, 1]), centres, spherical=True)
    assert moved.tolist() == [centres[0].tolist(), [0, 1]]

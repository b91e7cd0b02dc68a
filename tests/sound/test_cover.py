"""Pictures and comments in the metadata of a table's file.

We and tag editors put them there; they are kept, and damaged.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from pathlib import Path

import matplotlib.image
import mutagen.flac
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges import check_ffmpeg
from samples import MODULATIONS, arrow, content, create, rows, same

from audiomem_sql.audio.flac.comments import Picture, is_picture, read_tags
from audiomem_sql.cli.main import run
from audiomem_sql.errors import AudioMemError, DamagedFileError, LimitError
from audiomem_sql.sound.spectrogram import COVER_BYTES, COVER_PIXELS, draw_cover
from audiomem_sql.table.table import Table


def dots(colour: int) -> bytes:
    """A PNG of three by two pixels."""
    sink = io.BytesIO()
    matplotlib.image.imsave(sink, np.full((2, 3, 3), colour, np.uint8), format="png")
    return sink.getvalue()


PICTURE = Picture(dots(20), "image/png", 3, 2, 32, "six dots")
BACK = Picture(dots(200), "image/png", 3, 2, 32, "Rückseite", kind=4)


def metaflac(*arguments: str | Path) -> str:
    return subprocess.run(
        ["metaflac", *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def accepted(path: Path) -> None:
    """By the tools that judge our files."""
    subprocess.run(["flac", "-t", "-s", "-w", path], check=True)
    check_ffmpeg(path)
    assert subprocess.run(["sox", path, "-n", "stat"], check=True, capture_output=True).returncode == 0


def back_cover(path: Path) -> None:
    """Put in as another program does."""
    edited = mutagen.flac.FLAC(path)
    picture = mutagen.flac.Picture()
    picture.type, picture.mime, picture.desc, picture.data = BACK.kind, BACK.mime, BACK.description, BACK.data
    picture.width, picture.height, picture.depth = BACK.width, BACK.height, BACK.depth
    edited.add_picture(picture)
    edited.save()


def pictures(path: Path) -> list[tuple[int, str, bytes]]:
    return [(found.type, found.desc, found.data) for found in mutagen.flac.FLAC(path).pictures]


@pytest.mark.parametrize("modulation", MODULATIONS)
def test_a_cover_is_drawn_and_put_into_the_file(tmp_path: Path, modulation: str) -> None:
    path = tmp_path / "kb.flac"
    with create(path, 300, protection="standard", **MODULATIONS[modulation]) as table:
        table.checkpoint()
        table.append(arrow(rows(10, first=1000)))  # a log, …
        table.checkpoint()
        table.append(arrow(rows(10, first=2000)))
        expected, segment = content(table), table.snapshot.segments[0].catalog.segment_id
        others = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file != path}
        assert len(others) == 1
        made = draw_cover(table.snapshot)
        table.set_cover(made)
        assert same(content(table), expected)
        assert others == {
            file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file != path
        }
        source = table.snapshot.segments[0].file.source
        assert (source.in_place, table.snapshot.segments[0].catalog.segment_id) == (True, segment)
        table.append(arrow(rows(10, first=3000)))
    assert len(made.data) <= COVER_BYTES
    accepted(path)
    metaflac(f"--export-picture-to={tmp_path / 'cover.jpg'}", path)
    assert (tmp_path / "cover.jpg").read_bytes() == made.data
    image = matplotlib.image.imread(tmp_path / "cover.jpg")
    assert image.shape == (COVER_PIXELS, COVER_PIXELS, 3)
    (picture,) = mutagen.flac.FLAC(path).pictures
    assert (picture.type, picture.mime, picture.desc) == (3, "image/jpeg", "Spectrogram of kb")
    assert (picture.width, picture.height, picture.depth, picture.colors) == (
        COVER_PIXELS,
        COVER_PIXELS,
        24,
        0,
    )
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width:stream_disposition=attached_pic",
         "-of", "csv=p=0", path],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert f"mjpeg,{COVER_PIXELS},1" in shown.stdout
    with Table(path) as table:
        assert len(table) == 330


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(tmp_path / "a$b$.flac", 10).close()
    file = str(tmp_path / "a$b$.flac")
    assert run(["spectrogram", file, "--cover"]) == 0
    assert "cover of 1000 by 1000 pixels" in capsys.readouterr().out
    assert run(["spectrogram", file, str(tmp_path / "x.png"), "--cover"]) == 0
    assert len(pictures(Path(file))) == 1
    assert (tmp_path / "x.png").exists()
    assert run(["spectrogram", file]) == 2
    assert "nothing to draw to" in capsys.readouterr().err


def test_the_cover_of_a_large_and_of_an_empty_table(tmp_path: Path) -> None:
    for count, name in ((0, "x"), (4000, "a name that is far too long for a line " * 4)):
        with create(tmp_path / f"{name}.flac", count) as table:
            table.checkpoint()
            assert len(draw_cover(table.snapshot).data) <= COVER_BYTES


def test_only_the_front_cover_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path, 50) as table:
        table.checkpoint()
        bare = path.read_bytes()
        table.set_cover(PICTURE)
    assert pictures(path) == [(3, "six dots", PICTURE.data)]
    back_cover(path)
    metaflac("--set-tag=artist=somebody", path)
    with Table(path) as table:
        table.set_cover(Picture(b"another", "image/png", 1, 1))
        assert sorted(pictures(path)) == [(3, "", b"another"), (4, "Rückseite", BACK.data)]
        assert mutagen.flac.FLAC(path)["ARTIST"] == ["somebody"]
        table.set_cover(None)
        assert pictures(path) == [(4, "Rückseite", BACK.data)]
        with pytest.raises(LimitError, match="the most is"):
            table.set_cover(Picture(bytes(1 << 24), "image/png", 1, 1))
    assert [file.name for file in tmp_path.iterdir()] == ["t.flac"]
    with Table(path) as table:  # what others put in is gone, and so is every trace of it
        metaflac("--remove", "--block-type=PICTURE", path)
        metaflac("--remove-tag=artist", path)
        table.refresh()
        table.set_cover(PICTURE)
        table.set_cover(None)
    start = len(bare) - 8192  # of some frame: these are as they were
    assert path.read_bytes()[-8192:] == bare[start:]


@pytest.mark.parametrize(
    "rewrite", ["vacuum", "transcode", "repair", "first rows", "first rows of the log", "protection"]
)
def test_what_others_put_in_stays(tmp_path: Path, rewrite: str) -> None:
    path = tmp_path / "t.flac"
    protection = "none" if rewrite == "protection" else "standard"
    with create(path, 0 if "first" in rewrite else 200, protection=protection) as table:
        table.checkpoint()
        table.set_cover(PICTURE)
    back_cover(path)
    metaflac(
        "--set-tag=artist=A", "--set-tag=Artist=Bé", "--set-tag=COMMENT=my own", "--remove-tag=TITLE",
        "--set-tag=Title=The knowledge base", "--set-tag=ENCODER=Lavf", path,
    )  # fmt: skip
    with Table(path) as table:
        expected = content(table)
        if rewrite == "vacuum":
            table.vacuum()
        elif rewrite == "transcode":
            table.transcode({"modulation": "spectrum", "profile": "mobile"})
        elif rewrite == "repair":
            assert [done.changed for done in table.repair()] == [True]  # metaflac put blocks elsewhere
            assert [done.changed for done in table.repair()] == [False]
        elif rewrite == "protection":
            table.vacuum(protection="archive")
            assert [done.changed for done in table.repair()] == [False]
        else:
            table.append(arrow(rows(2000 if rewrite == "first rows" else 200)))
            expected = content(table)
            table.checkpoint()
        assert same(content(table), expected)
    accepted(path)
    assert [file.name for file in tmp_path.iterdir()] == ["t.flac"]
    assert sorted(pictures(path)) == [(3, "six dots", PICTURE.data), (4, "Rückseite", BACK.data)]
    tags = mutagen.flac.FLAC(path)
    assert tags["artist"] == ["A", "Bé"]
    assert tags["title"] == ["The knowledge base"]
    assert len(tags["encoder"]) == 1
    assert tags["encoder"][0].startswith("audiomem-sql ")
    assert tags["description"] == ["A table kept as audio; audiomem-sql reads it."]
    assert len(tags["comment"]) == 2
    assert tags["comment"][1] == "my own"
    assert [name for name, _ in read_tags(path).comments][-3:].count("Artist") == 1  # as it was written


def test_tags_of_a_file_that_nobody_edited_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path, 100, protection="standard") as table:
        table.vacuum()
        before = read_tags(path)
        metaflac("--set-tag=DESCRIPTION=A table of 7 rows kept as audio; audiomem-sql reads it.", path)
        table.append(arrow(rows(1, first=500)))
        table.vacuum()
    after = read_tags(path)
    assert len(before.comments) == len(after.comments) == 4
    assert dict(after.comments) == dict(before.comments)


@pytest.mark.damages
@pytest.mark.parametrize("modulation", MODULATIONS)
def test_a_damaged_file_with_a_cover_is_repaired_byte_for_byte(tmp_path: Path, modulation: str) -> None:
    path = tmp_path / "t.flac"
    with create(path, 1500, protection="archive", **MODULATIONS[modulation]) as table:
        table.checkpoint()
        table.set_cover(PICTURE)
        truth = content(table)
    metaflac("--set-tag=artist=A", path)
    with Table(path) as table:
        table.vacuum()
    whole = path.read_bytes()
    own = whole.index(b"COMMENT=It sounds")
    for place in (len(whole) // 2, len(whole) // 2 + 5000, own + 20, whole.index(b"TITLE=") + 6, 20, 30):
        data = bytearray(whole)
        data[place : place + 1] = bytes([data[place] ^ 0x20])
        data[len(data) // 3 : len(data) // 3 + 3000] = bytes(3000)
        path.write_bytes(data)
        with Table(path) as table:
            assert same(content(table), truth)
            assert [done.changed for done in table.repair()] == [True]
        assert path.read_bytes() == whole


@pytest.mark.damages
@pytest.mark.parametrize("between", ["wav", "m4a", "wv", "mp3"])
def test_what_transcoders_make_of_our_tags_is_ours(tmp_path: Path, between: str) -> None:
    path, heard, middle = (tmp_path / name for name in ("t.flac", "heard.flac", f"x.{between}"))
    options = {"modulation": "spectrum", "band_plan": "mission", "robustness": "broadcast"}
    with create(path, 50, profile="desktop", protection="archive", **options) as table:
        table.checkpoint()
    codec = {"wav": ["-c:a", "pcm_s24le"], "m4a": ["-c:a", "alac"], "wv": [], "mp3": ["-b:a", "320k"]}[
        between
    ]
    raw = ["-sample_fmt", "s32", "-bits_per_raw_sample", "24"]
    for step in (["-i", path, *codec, middle], ["-i", middle, "-c:a", "flac", *raw, heard]):
        subprocess.run(["ffmpeg", "-v", "error", "-y", *step], check=True)
    with Table(heard) as table:
        table.repair()
    assert heard.read_bytes() == path.read_bytes()


@pytest.fixture(scope="module")
def covered(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int, list[dict[str, object]]]:
    """A file with pictures and tags, where its frames begin, and its rows."""
    path = tmp_path_factory.mktemp("covered") / "t.flac"
    with create(path, 100) as table:
        table.checkpoint()
        table.set_cover(PICTURE)
    back_cover(path)
    metaflac("--set-tag=artist=A", path)
    with Table(path) as table:
        source = table.snapshot.segments[0].file.source
        assert source.in_place
        data = path.read_bytes()
        start = next(at for at in range(len(data)) if data[at : at + 2] == b"\xff\xf8" and data[at + 4] == 0)
        return data, start, content(table)


@pytest.mark.damages
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_of_the_metadata_costs_a_row(
    covered: tuple[bytes, int, list[dict[str, object]]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole, start, truth = covered
    folder = tmp_path_factory.mktemp("hurt")
    path = folder / "t.flac"
    hurt = bytearray(whole)
    at = data.draw(st.integers(0, start - 1), "at")
    new = data.draw(st.binary(min_size=1, max_size=40), "new")[: start - at]
    hurt[at : at + len(new)] = new
    path.write_bytes(hurt)
    with Table(path) as table:
        assert same(content(table), truth)
        try:
            table.set_cover(PICTURE)
        except DamagedFileError:
            assert path.read_bytes() == hurt
        assert same(content(table), truth)
        table.vacuum()
        assert same(content(table), truth)
    subprocess.run(["flac", "-t", "-s", "-w", path], check=True)
    assert all(is_picture(body) for body in read_tags(path).pictures)
    shutil.rmtree(folder)


@pytest.mark.damages
@pytest.mark.parametrize("length", [0, 1, 500, 20_000, (1 << 24) - 1])
def test_a_picture_whose_length_is_damaged(
    covered: tuple[bytes, int, list[dict[str, object]]], tmp_path: Path, length: int
) -> None:
    whole, _, truth = covered
    at = whole.index(PICTURE.to_bytes()) - 3
    path = tmp_path / "t.flac"
    path.write_bytes(whole[:at] + length.to_bytes(3, "big") + whole[at + 3 :])
    with Table(path) as table:
        assert same(content(table), truth)
        assert not any(PICTURE.data in body for body in read_tags(path).pictures)
        table.vacuum()
        assert same(content(table), truth)
    accepted(path)


def test_readers_and_writers_go_on_while_covers_change(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 100).close()
    stop = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not stop.is_set():
            with Table(path) as table:
                count = len(content(table))
                if not 100 <= count <= 140:
                    wrong.append(f"{count} rows")

    def write() -> None:
        try:
            with Table(path, busy_timeout=60) as table:
                for number in range(40):
                    table.append(arrow(rows(1, first=1000 + number)))
                    if number % 8 == 0:
                        table.checkpoint()
        except AudioMemError as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    with Table(path, busy_timeout=60) as table, table.checkout() as old:
        for thread in threads:
            thread.start()
        for number in range(20):
            table.set_cover(Picture(bytes([number]) * 5000, "image/png", 1, 1, description=str(number)))
        threads[1].join()
        stop.set()
        threads[0].join()
        assert wrong == []
        table.refresh()
        assert len(table) == 140
        assert len(old.to_arrow()) == 100
    assert [found[1] for found in pictures(path)] == ["19"]


def test_pictures_are_parsed_as_they_are_made() -> None:
    body = BACK.to_bytes()
    assert is_picture(body)
    made = mutagen.flac.Picture(body)
    assert (made.type, made.mime, made.desc, made.data) == (BACK.kind, BACK.mime, BACK.description, BACK.data)
    assert not is_picture(b"")
    assert not is_picture(body + b"x")
    assert not is_picture(body[:-1])
    assert all(not is_picture(body[:length]) for length in range(len(body)))
    assert not is_picture(body.replace("ü".encode(), b"\xff\xff"))

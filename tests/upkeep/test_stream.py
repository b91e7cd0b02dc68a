"""A table as a stream: players play it, ffmpeg makes the table of it again, it is read while it arrives."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from hashlib import sha512
from itertools import pairwise
from pathlib import Path
from typing import Any

import obstore
import pytest

import audiomem_sql as am
from audiomem_sql.audio import Picture, read_tags
from audiomem_sql.errors import OptionError, StorageError, TruncatedFileError, UnsupportedError
from audiomem_sql.remote import memory_store
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import write_stream

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT", "n INTEGER", "code TEXT UNIQUE"]
SOUNDS: dict[str, dict[str, str]] = {
    "desktop": {},
    "server": {"profile": "server", "protection": "standard"},
    "embedded": {"profile": "embedded", "protection": "archive"},
    "flat": {"profile": "embedded", "modulation": "spectrum"},
    "mission": {"profile": "mobile", "modulation": "spectrum", "band_plan": "mission"},
    "broadcast": {"profile": "embedded", "modulation": "spectrum", "robustness": "broadcast"},
}


def rows(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "id": 2 * n,
            "body": sha512(bytes(n % 251) + b"%d" % n).hexdigest() * 2,
            "n": None if n % 5 == 0 else n,
            "code": f"c{n}",
        }
        for n in range(first, first + count)
    ]


def make(path: Path, count: int = 500, **options: str) -> Table:
    table = Table.create(path, COLUMNS, options)
    table.append(rows(count))
    return table


def run(*command: object) -> bytes:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout


def segments_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.m4s"))


@pytest.mark.parametrize("sound", SOUNDS)
def test_players_play_it_and_ffmpeg_makes_the_table_of_it(sound: str, tmp_path: Path) -> None:
    folder, back = tmp_path / "hls", tmp_path / "back.flac"
    with make(tmp_path / "kb.flac", 300, **SOUNDS[sound]) as table:
        made = table.stream(folder, seconds=0.3)
        expected = table.to_arrow()
    assert (made.version, made.rows) == (2, 300)
    ffmpeg = ("ffmpeg", "-v", "warning", "-xerror", "-i")
    with am.open(made.table) as stream:
        assert stream.to_arrow().equals(expected)
        assert stream.options.layout == "remote"
        stream.backup(tmp_path / "copy.flac")
    run("flac", "-t", "-s", tmp_path / "copy.flac")
    samples = run(*ffmpeg, made.playlist, "-f", "md5", "-c:a", "pcm_s24le", "-")
    assert samples == run(*ffmpeg, tmp_path / "copy.flac", "-f", "md5", "-c:a", "pcm_s24le", "-")
    run(*ffmpeg, made.playlist, "-c", "copy", back)
    with am.open(back) as table:  # which has lost the APPLICATION block
        assert table.to_arrow().equals(expected)
        assert table.version == 2


def test_every_frame_is_a_sample_of_its_own(tmp_path: Path) -> None:
    """As ffprobe sees it: more than 128 frames, so that their sizes differ."""
    with Table.create(tmp_path / "kb.flac", ["noise BLOB"], {"profile": "embedded"}) as table:
        table.append([{"noise": os.urandom(6000)} for _ in range(200)])
        made = table.stream(tmp_path / "hls", seconds=12.2)
    shown = run("ffprobe", "-v", "error", "-show_packets", "-show_streams", "-of", "json", made.playlist)
    facts = json.loads(shown)
    packets = facts["packets"]
    with am.open(made.table) as table:
        pages = table.snapshot.segments[0].file.page_count
    assert len(packets) == pages > 140
    assert made.segments == -(-pages // round(12.2 * 22050 / 4096))
    assert [each["pts"] for each in packets] == [4096 * number for number in range(pages)]
    assert {each.get("duration", 4096) for each in packets} == {4096}
    assert {int(each["size"]) for each in packets[:128]} == {8192 + 9}
    assert {int(each["size"]) for each in packets[128:]} == {8192 + 10}
    (stream,) = facts["streams"]
    assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == ("flac", "22050", 1)


@pytest.mark.parametrize("sound", ["desktop", "embedded", "broadcast"])
def test_chapters_say_which_rows_have_arrived(sound: str, tmp_path: Path) -> None:
    """Take away the last file, again and again: what is left is what the chapters say, as it was written."""
    folder = tmp_path / "hls"
    with make(tmp_path / "kb.flac", 1500 if sound == "desktop" else 400, **SOUNDS[sound]) as table:
        made = table.stream(folder, seconds=0.3 if sound == "broadcast" else 0.1)
        expected = table.to_arrow()
    chapters = json.loads((folder / "chapters.json").read_text())
    assert chapters[0]["start-time"] == 0
    assert chapters[-1]["start-time"] + chapters[-1]["duration"] == pytest.approx(made.seconds, abs=1e-5)
    for before, after in pairwise(chapters):
        assert before["start-time"] + before["duration"] == pytest.approx(after["start-time"], abs=1e-5)
    ends = [
        (each["start-time"] + each["duration"], each["metadata"][1]["value"], each["metadata"][0]["value"])
        for each in chapters
        if "metadata" in each
    ]
    assert len(ends) > 2
    assert [first for _, _, first in ends[1:]] == [last + 2 for _, last, _ in ends[:-1]]
    seconds = [
        float(line.partition(":")[2].partition(",")[0])
        for line in (folder / "kb.m3u8").read_text().splitlines()
        if line.startswith("#EXTINF")
    ]
    counts = set()
    for number in range(made.segments - 1, 0, -1):
        segments_of(folder)[-1].unlink()
        time = sum(seconds[:number]) + 1e-6
        last = max([rowid for end, rowid, _ in ends if end <= time], default=0)
        try:
            part = am.open(made.table, partial=True)
        except TruncatedFileError:
            assert last == 0
            continue
        assert len(part) == last // 2
        assert part.to_arrow().equals(expected.slice(0, len(part)))
        assert part.arrived is None or (part.arrived.rows, part.arrived.rows_in_all) == (
            len(part),
            len(expected),
        )
        counts.add(len(part))
    assert len(counts) > 2


def test_log_and_deltas_become_one_version_to_stream(tmp_path: Path) -> None:
    """With all versions before it, and with title and picture of the file."""
    path = tmp_path / "kb.flac"
    with make(path, 50, deltas="beside") as table:
        table.set_cover(Picture(b"\x89PNG cover", "image/png", 9, 9))
        table.tag("first")
    run("metaflac", "--remove-tag=TITLE", "--set-tag=TITLE=My notes", path)
    with Table(path) as table:
        table.append(rows(5, first=1000))
        newest, old = table.to_arrow(), table.checkout("first").to_arrow()
        assert os.path.exists(f"{path}-wal")
        made = table.stream(tmp_path / "hls")
        was = table.stream(tmp_path / "was", "first")
        table.append(rows(5, first=2000))
    with am.open(made.table) as stream:
        assert stream.to_arrow().equals(newest)
        assert stream.checkout("first").to_arrow().equals(old)
        stream.backup(tmp_path / "copy.flac")
    tags = read_tags(str(tmp_path / "copy.flac"))
    assert ("TITLE", "My notes") in tags.comments
    assert [picture[-10:] for picture in tags.pictures] == [b"\x89PNG cover"]
    with am.open(was.table) as stream:
        assert stream.to_arrow().equals(old)
        assert (made.version, was.version, stream.version) == (4, 2, 2)


def test_a_file_for_readers_far_away_is_cut_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kb.flac"
    with make(path) as table:
        table.vacuum(layout="remote")
        made = table.stream(tmp_path / "hls", seconds=0.5)
    with am.open(made.table) as stream:
        stream.backup(tmp_path / "copy.flac")
    assert (tmp_path / "copy.flac").read_bytes() == path.read_bytes()
    with Table(path) as table:
        with path.open("r+b") as file:  # as a writer does that appends to it meanwhile
            file.seek(20)
            file.write(b"\xff")
        with pytest.raises(StorageError, match=r"kb\.flac: somebody wrote to the file"):
            write_stream(table.files, table.snapshot, tmp_path / "other", table.options, "kb")
    assert not (tmp_path / "other").exists()
    path.unlink()


def test_a_stream_is_only_read(tmp_path: Path) -> None:
    with make(tmp_path / "kb.flac", 20) as table:
        made = table.stream(tmp_path / "hls")
        files = {name: (tmp_path / "hls" / name).read_bytes() for name in os.listdir(tmp_path / "hls")}
        for where in (made.table, made.playlist):
            with pytest.raises(UnsupportedError, match="a stream is only read"):
                am.open(where).append(rows(1, first=99))
        for write in (
            lambda path: Table.create(path, ["a INTEGER"]),
            lambda path: am.write_flac(table.to_arrow(), path),
            lambda path: table.backup(path),
            am.drop,
        ):
            with pytest.raises(UnsupportedError, match=r"new\.m3u8: a stream is only read"):
                write(str(tmp_path / "new.m3u8"))
    assert files == {name: (tmp_path / "hls" / name).read_bytes() for name in os.listdir(tmp_path / "hls")}


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with make(tmp_path / "kb.flac", 20) as table:
        table.stream(tmp_path / "hls")
        with pytest.raises(StorageError, match="hls: the folder is not empty"):
            table.stream(tmp_path / "hls")
        with pytest.raises(StorageError, match=r"kb\.flac"):
            table.stream(tmp_path / "kb.flac")
        with pytest.raises(StorageError, match="none"):
            table.stream(tmp_path / "none" / "below")
        for seconds in (0.0, -1.0, float("nan"), 1e9):
            with pytest.raises(OptionError, match="seconds"):
                table.stream(tmp_path / "new", seconds=seconds)

        def stop(done: int, total: int) -> None:
            if list((tmp_path / "new").glob("*.m4s")):
                raise KeyboardInterrupt

        (tmp_path / "there").mkdir()
        for name in ("new", "there"):
            with pytest.raises(KeyboardInterrupt):
                table.stream(tmp_path / name, progress=stop if name == "new" else _stop)
        assert not (tmp_path / "new").exists()
        assert not list((tmp_path / "there").iterdir())


def _stop(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_a_private_table_has_a_private_stream(tmp_path: Path) -> None:
    with make(tmp_path / "kb.flac", 20) as table:
        os.chmod(tmp_path / "kb.flac", 0o600)
        table.stream(tmp_path / "hls")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "hls").iterdir()}
    assert modes == {0o600}


def test_a_stream_in_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written there, read there, and in part while some of it is missing."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    url = "memory://streams/kb"
    with make(tmp_path / "kb.flac", 1000, profile="embedded") as table:
        made = table.stream(url, seconds=0.5)
        assert (made.playlist, made.table) == (f"{url}/index.m3u8", f"{url}/kb.m3u8")
        with pytest.raises(StorageError, match="there is a stream already"):
            table.stream(url)
        with pytest.raises(UnsupportedError, match="nothing is written to http"):
            table.stream("http://localhost/kb")
        expected = table.to_arrow()
    store = memory_store()
    keys = sorted(meta["path"] for page in obstore.list(store, "streams/kb") for meta in page)
    assert len(keys) == made.segments + 4
    kinds = {key.rpartition(".")[2]: obstore.get(store, key).attributes["Content-Type"] for key in keys}
    assert kinds["m3u8"] == "application/vnd.apple.mpegurl"
    with am.open(made.table) as stream:
        assert stream.to_arrow().equals(expected)
        with stream.checkout(1) as old:
            assert len(old) == 0
        again = stream.stream("memory://streams/again", seconds=0.5)
        assert again.rows == 1000
    last = [key for key in keys if key.endswith(".m4s")][-1]
    content = bytes(obstore.get(store, last).bytes())
    obstore.delete(store, last)
    with am.open(made.table, partial=True) as part:
        assert 0 < len(part) < 1000
        assert part.to_arrow().equals(expected.slice(0, len(part)))
        obstore.put(store, last, content)
        assert part.refresh()
        assert part.to_arrow().equals(expected)
    for key in keys:
        obstore.delete(store, key)

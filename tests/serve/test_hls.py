"""A table as HLS: ffmpeg and our own reader play it from the server, and make the table of it again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

import audiomem_sql as am
from audiomem_sql.serve import streams
from audiomem_sql.serve.settings import Limits
from audiomem_sql.serve.tokens import add_token
from audiomem_sql.table.table import Table

from .conftest import Running, serving


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    with Table.create(tmp_path / "notes.flac", ["id INTEGER PRIMARY KEY", "body TEXT"]) as table:
        table.append([{"body": f"note {number} " * 20} for number in range(400)])
        table.append([{"body": "last"}])
    return tmp_path / "notes.flac"


def ffmpeg(address: str, target: Path, *options: str) -> None:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *options, "-i", address, "-c", "copy", str(target)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert not done.stderr, done.stderr


def bodies(path: Path | str) -> list[str]:
    with am.open(str(path)) as table:
        return [row["body"] for row in table.to_arrow().to_pylist()]


def parts_of(server: Running, playlist: str) -> list[str]:
    text = server.client.get(playlist).text
    names = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [text.partition('URI="')[2].partition('"')[0], *names]


def test_ffmpeg_makes_the_table_of_it(notes: Path, tmp_path: Path) -> None:
    with serving(notes) as server:
        address = f"{server.address}/tables/notes/hls"
        ffmpeg(f"{address}/index.m3u8", tmp_path / "back.flac")
        assert bodies(tmp_path / "back.flac") == bodies(notes)
        ffmpeg(f"{address}/2/notes.m3u8", tmp_path / "older.flac")
        assert bodies(tmp_path / "older.flac") == bodies(notes)[:-1]
        assert bodies(f"{address}/notes.m3u8") == bodies(notes)
        chapters = server.client.get("/tables/notes/hls/chapters.json").json()
        assert sum(len(each.get("metadata", ())) for each in chapters) >= 2
        assert server.client.get("/tables/notes/hls/index.m3u8").headers["audiomem-version"] == "3"


def test_files_are_kept_by_their_names(notes: Path) -> None:
    with serving(notes) as server:
        get = server.client.get
        index = get("/tables/notes/hls/index.m3u8")
        assert index.headers["content-type"] == "application/vnd.apple.mpegurl"
        assert index.headers["cache-control"] == "private, no-cache"
        first, *names = parts_of(server, "/tables/notes/hls/notes.m3u8")
        for name in (first, names[0], names[-1], "index.m3u8"):
            answer = get(f"/tables/notes/hls/{name}")
            assert len(answer.content) == int(answer.headers["content-length"])
            tag = answer.headers["etag"]
            again = get(f"/tables/notes/hls/{name}", headers={"If-None-Match": tag})
            assert (again.status_code, again.content) == (304, b"")
            head = server.client.head(f"/tables/notes/hls/{name}")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == answer.headers["content-length"]
        assert "immutable" in get(f"/tables/notes/hls/{names[0]}").headers["cache-control"]
        whole = get(f"/tables/notes/hls/{names[0]}").content
        for start, stop in ((0, 10), (50, 1000), (len(whole) - 5, len(whole)), (0, len(whole))):
            asked = {"Range": f"bytes={start}-{stop - 1}"}
            part = get(f"/tables/notes/hls/{names[0]}", headers=asked)
            assert (part.status_code, part.content) == (206, whole[start:stop])
            assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
            assert get("/tables/notes/hls/index.m3u8", headers={"Range": "bytes=0-3"}).content == b"#EXT"
        over = get(f"/tables/notes/hls/{names[0]}", headers={"Range": f"bytes={len(whole)}-"})
        assert over.status_code == 416
        for name, status in (
            ("nope.m3u8", 404), ("nope.txt", 404), ("x-00001.m4s", 410), ("99/index.m3u8", 400),
        ):  # fmt: skip
            assert get(f"/tables/notes/hls/{name}").status_code == status
        assert get("/tables/absent/hls/index.m3u8").status_code == 404


@pytest.mark.parametrize("layout", ["local", "remote"])
def test_a_stream_outlives_commits(tmp_path: Path, layout: str) -> None:
    """A copy is sent to its end; a file that was cut itself is another one now."""
    path = tmp_path / "notes.flac"
    with Table.create(path, ["body TEXT"], {"layout": layout}) as table:
        table.append([{"body": "one"}])
        table.flush()
    with serving(path) as server:
        before = parts_of(server, "/tables/notes/hls/notes.m3u8")
        (opened,) = server.service.streams._open
        assert (opened._state is None) == (layout == "local")
        sizes = [len(server.client.get(f"/tables/notes/hls/{name}").content) for name in before]
        with Table(path) as table:
            table.append([{"body": "two"}])
            table.flush()
        answers = [server.client.get(f"/tables/notes/hls/{name}") for name in before]
        if layout == "local":
            assert [answer.status_code for answer in answers] == [200] * len(before)
            assert [len(answer.content) for answer in answers] == sizes
        else:
            assert [answer.status_code for answer in answers] == [410] * len(before)
        after = parts_of(server, "/tables/notes/hls/3/notes.m3u8")
        assert after != before
        assert all(server.client.get(f"/tables/notes/hls/{name}").status_code == 200 for name in after)


def test_few_are_open(notes: Path) -> None:
    with Table(notes) as table:
        for number in range(4):
            table.append([{"body": f"more {number}"}])
    with serving(notes) as server:
        playlists = [parts_of(server, f"/tables/notes/hls/{version}/notes.m3u8") for version in range(2, 8)]
        opened = server.service.streams
        assert [each.version for each in opened._open] == [4, 5, 6, 7]
        folder = Path(opened._folder or "")
        assert len(list(folder.iterdir())) <= 4
        refused = server.client.get(f"/tables/notes/hls/2/{playlists[0][1]}")
        assert refused.status_code == 410  # the copy is another one now
        assert "playlist" in refused.json()["detail"]
    assert not folder.exists()


def test_streams_that_are_read_count(tmp_path: Path) -> None:
    """Each is a copy in the folder for temporary files, also one that another has pushed out."""
    with Table.create(tmp_path / "notes.flac", ["body TEXT"]) as table:
        for number in range(11):
            table.append([{"body": f"note {number}"}])
    with serving(tmp_path / "notes.flac") as server:
        opened, table_of = server.service.streams, server.service.tables["notes"]
        held = [opened.of(table_of, str(version), "index.m3u8") for version in range(2, 10)]
        folder = Path(opened._folder or "")
        assert len(list(folder.iterdir())) == 8
        refused = server.client.get("/tables/notes/hls/10/index.m3u8")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert server.client.get("/tables/notes/hls/9/index.m3u8").status_code == 200  # is there
        for which in (0, 5):  # one that was left, and one that was not
            opened.release(held.pop(which))
            assert server.client.get("/tables/notes/hls/10/index.m3u8").status_code == 200
            assert len(list(folder.iterdir())) == 8
            assert server.client.get("/tables/notes/hls/11/index.m3u8").status_code == 200
        for stream in held:
            opened.release(stream)
        assert len(list(folder.iterdir())) == len(opened._open) == opened._held == 4
        assert server.client.get("/tables/notes/hls/99/index.m3u8").status_code == 400
        assert opened._held == 4
    assert not folder.exists()


def test_streams_that_cannot_be_made_do_not_count(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(notes) as server:
        with monkeypatch.context() as patch:
            patch.setattr(streams, "CutFile", lambda *_: 1 / 0)
            for _ in range(9):
                assert server.client.get("/tables/notes/hls/2/index.m3u8").status_code == 500
        assert server.client.get("/tables/notes/hls/2/index.m3u8").status_code == 200


def test_nobody_waits_long_for_who_makes_one(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_WAIT", 0.1)
    with serving(notes, limits=Limits(threads=1)) as server:
        opened, table = server.service.streams, server.service.tables["notes"]
        with opened._making_of(table):
            refused = server.client.get("/tables/notes/hls/index.m3u8")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            monkeypatch.setattr(streams, "_WAIT", 600.0)
            with pytest.raises(httpx.ReadTimeout):
                server.client.get("/tables/notes/hls/index.m3u8", timeout=0.3)
            # nobody waits for it any more: its thread is free
            assert server.client.get("/tables/notes", timeout=10).status_code == 200
        assert server.client.get("/tables/notes/hls/index.m3u8").status_code == 200


def test_tokens_in_addresses(notes: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    files = add_token(path, "files", {"*": ["file"]})
    reads = add_token(path, "reads", {"*": ["read"]})
    with serving(notes, tokens=path) as server:
        address = f"{server.address}/tables/notes/hls/index.m3u8"
        assert server.client.get(address).status_code == 401
        assert server.client.get(f"{address}?token={reads}").status_code == 403
        ffmpeg(f"{address}?token={files}", tmp_path / "back.flac", "-allowed_extensions", "ALL")
        ffmpeg(address, tmp_path / "again.flac", "-headers", f"Authorization: Bearer {files}\r\n")
        assert bodies(tmp_path / "back.flac") == bodies(tmp_path / "again.flac") == bodies(notes)
        assert files not in "".join(server.log)

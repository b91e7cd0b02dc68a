"""Subtitles, lyrics, audio files and images: what they say in words."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen.id3 import CHAP, SYLT, TIT2, USLT
from PIL import Image, PngImagePlugin

import audiomem_sql as am
from audiomem_sql.errors import DamagedFileError, DataTypeError, MissingExtraError, UnsupportedError
from audiomem_sql.ingest.documents import images, subtitles
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.registry import readers
from audiomem_sql.ingest.documents.subtitles import parse_lyrics
from audiomem_sql.ingest.sources import find_sources

from .reading import read, rows_of_file


def places(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["place"], row["body"]) for row in rows]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- subtitles


def test_subrip(tmp_path: Path) -> None:
    text = (
        "\ufeff1\n00:00:01,500 --> 00:00:03,000\n<i>Hello</i> there,\n{\\an8}my friend.\n\n"
        "2\n00:00:03,100 --> 00:00:05,000\nIt is <b>5 < 6</b>.\n3\n00:00:06,000 --> 00:00:07,000\nYes.\n\n"
        "4\n01:00:00,000 --> 01:00:02,000\nLater.\n"
    )
    rows = rows_of_file(written(tmp_path / "a.srt", text))
    assert places(rows) == [("t=1.5", "Hello there, my friend. It is 5 < 6. Yes."), ("t=3600", "Later.")]


def test_webvtt(tmp_path: Path) -> None:
    text = (
        "WEBVTT\n\nNOTE a comment\n\nSTYLE\n::cue { color: red }\n\nid-1\n"
        "00:01.000 --> 00:02.000 align:start\n"
        "<v Ann>Tom &amp; I</v>\n\n00:00:02.500 --> 00:00:04.000\nTom &amp; I\n\n"
        "00:00:04.000 --> 00:00:05.000\n<00:00:04.500><c>went</c>.\n"
    )
    assert places(rows_of_file(written(tmp_path / "a.vtt", text))) == [("t=1", "Ann: Tom & I went.")]
    assert rows_of_file(written(tmp_path / "b.vtt", "WEBVTT\n")) == []


def test_advanced_substation(tmp_path: Path) -> None:
    text = (
        "[Script Info]\nTitle: The Film\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, "
        "MarginV, Effect, Text\nComment: 0,0:00:00.00,0:00:01.00,D,,0,0,0,,no\n"
        "Dialogue: 0,0:00:09.00,0:00:10.00,D,,0,0,0,,Then, later.\n"
        "Dialogue: 0,0:00:01.20,0:00:02.00,D,Ann,0,0,0,,{\\pos(1,2)}One\\Ntwo\n"
    )
    rows = rows_of_file(written(tmp_path / "a.ass", text))
    assert [row["title"] for row in rows] == ["The Film"] * 2
    assert places(rows) == [("t=1.2", "Ann: One two"), ("t=9", "Then, later.")]


def test_paragraphs_end_with_sentences(tmp_path: Path) -> None:
    cues = "\n\n".join(
        f"00:00:{n:02}.000 --> 00:00:{n + 1:02}.000\n{'word ' * 18}{n}{'.' if n % 2 else ''}"
        for n in range(12)
    )
    rows = rows_of_file(written(tmp_path / "a.vtt", f"WEBVTT\n\n{cues}\n"))
    assert [row["place"] for row in rows] == ["t=0", "t=4", "t=8"]
    assert all(row["body"].endswith(".") for row in rows)


def test_lyrics(tmp_path: Path) -> None:
    text = (
        "[ti:Song]\n[ar:Ann]\n[00:01.50]One\n[00:03.00]<00:03.00>Two <00:03.50>words\n"
        "[00:05.00]\n[00:06.00][01:00.00]Again\n[00:59.00]\n"
    )
    rows = rows_of_file(written(tmp_path / "a.lrc", text))
    assert places(rows) == [("t=1.5", "One\nTwo words"), ("t=6", "Again"), ("t=60", "Again")]
    assert rows[0]["title"] == "Ann – Song"


def test_lyrics_without_times_stand_behind_those_before_them(tmp_path: Path) -> None:
    text = "Before\n[00:07.00]Seven\nstill seven\n[00:05.00]Five\n[by: Bea]\nstill five\n"
    lines, tags = parse_lyrics(text)
    assert [(line.start, line.text) for line in lines] == [
        (0, "Before"), (5, "Five"), (5, "still five"), (7, "Seven"), (7, "still seven"),
    ]  # fmt: skip
    assert tags == {"by": "Bea"}


def test_one_line_has_only_so_many_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subtitles, "TIMES_LIMIT", 2)
    lines, _ = parse_lyrics("[00:01][00:02][00:03]la")
    assert [(line.start, line.text) for line in lines] == [(1, "la"), (2, "la")]


def test_what_is_no_subtitle_is_told(tmp_path: Path) -> None:
    for name in ("a.srt", "a.ass"):
        with pytest.raises(DataTypeError, match="no subtitles in it"):
            rows_of_file(written(tmp_path / name, "A text."))


# --- audio


def sound(path: Path, *more: str, before: tuple[str, ...] = ()) -> Path:
    """A file that ffmpeg makes, with tags."""
    tags = {"title": "Blå", "artist": "Ann", "album": "Sky", "date": "2021", "comment": "From tape"}
    options = [part for key, value in tags.items() for part in ("-metadata", f"{key}={value}")]
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=0.2",
        *before,
        *options,
        *more,
        str(path),
    ]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.m4a", "a.wma", "a.wav"])
def test_tags_of_audio(tmp_path: Path, name: str) -> None:
    [row] = rows_of_file(sound(tmp_path / name))
    assert row["title"] == "Ann – Blå"
    expected = ["Title: Blå", "Artist: Ann", "Album: Sky", "Date: 2021"]
    if name != "a.wma":
        expected.append("Comment: From tape")
        assert row["body"].replace("Description: From tape", "Comment: From tape").split("\n") == expected
    else:
        assert row["body"].split("\n")[:3] == expected[:3]


def test_lyrics_and_chapters_of_mp3_and_wav(tmp_path: Path) -> None:
    for name in ("a.mp3", "a.wav"):
        path = sound(tmp_path / name)
        file = mutagen.File(path)
        assert file is not None
        if file.tags is None:
            file.add_tags()
        file.tags.add(TIT2(text=["Blå"]))
        file.tags.add(USLT(lang="eng", text="La\nla la"))
        for number, title in enumerate(("Begin", "End")):
            sub = [TIT2(text=[title])]
            file.tags.add(CHAP(element_id=f"c{number}", start_time=number * 1500, end_time=9, sub_frames=sub))
        file.save()
        assert places(rows_of_file(path))[1:] == [(None, "La\nla la"), ("t=0", "Begin"), ("t=1.5", "End")]
    file.tags.add(SYLT(lang="eng", format=2, type=1, text=[("First", 0), ("line", 61250)]))
    file.save()
    assert places(rows_of_file(path))[1] == ("t=0", "First\nline")


def test_chapters_of_ogg_and_m4b(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.ogg")
    file = mutagen.File(path)
    assert file is not None
    file["CHAPTER001"], file["CHAPTER001NAME"] = "00:01:02.500", "Second"
    file["LYRICS"] = "[00:01.00]Sung"
    file.save()
    assert places(rows_of_file(path))[1:] == [("t=1", "Sung"), ("t=62.5", "Second")]
    chapters = written(
        tmp_path / "c.txt", ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=100\nEND=200\ntitle=Part\n"
    )
    book = sound(tmp_path / "a.m4b", "-f", "mp4", before=("-i", str(chapters)))
    assert places(rows_of_file(book))[-1] == ("t=0.1", "Part")


def test_a_table_is_no_music(tmp_path: Path) -> None:
    am.write_flac([{"id": 1, "body": "x"}], tmp_path / "t.flac").close()
    skipped: list[str] = []
    assert find_sources([tmp_path / "t.flac"], on_skip=lambda path, reason: skipped.append(reason)) == []
    assert skipped == ["a table in a FLAC file, not music"]
    with pytest.raises(UnsupportedError, match="a table in a FLAC file, not music"):
        list(readers()["audio"].documents(Content("inside.flac", data=(tmp_path / "t.flac").read_bytes())))


def test_audio_without_tags_has_nothing_to_say(tmp_path: Path) -> None:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.1", str(tmp_path / "a.wav")]
    subprocess.run(command, check=True)
    assert rows_of_file(tmp_path / "a.wav") == []
    (tmp_path / "b.mp3").write_bytes(b"no sound" * 99)
    with pytest.raises((DataTypeError, DamagedFileError)):
        rows_of_file(tmp_path / "b.mp3")


# --- images

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description><dc:title><rdf:Alt><rdf:li>Tower</rdf:li>'
    "</rdf:Alt></dc:title><dc:subject><rdf:Bag><rdf:li>iron</rdf:li><rdf:li>Paris</rdf:li></rdf:Bag>"
    "</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def test_captions_place_and_time_of_photographs(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[0x010E] = "A tower at night, für alle".encode()
    exif[0x9C9C] = "Seen from below".encode("utf-16-le")
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0Wet"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    for name in ("a.jpg", "a.webp", "a.tiff", "a.png"):
        image.save(tmp_path / name, exif=exif, **({} if name == "a.tiff" else {"xmp": XMP.encode()}))
        [row] = rows_of_file(tmp_path / name)
        lines = row["body"].split("\n")
        assert "Description: A tower at night, für alle" in lines
        assert f"Comment: Seen from below{', Wet' if name != 'a.tiff' else ''}" in lines
        assert ("Place: 48.85833 N, 2.29444 E" in lines) == (name != "a.tiff")  # which Pillow does not write
        assert (row["created_at"] == datetime(2024, 5, 6, 7, 8, 9)) == (name != "a.tiff")
        if name in ("a.jpg", "a.webp"):
            assert row["title"] == "Tower"
            assert "Keywords: iron, Paris" in lines


def test_iptc_captions_and_the_texts_of_png(tmp_path: Path) -> None:
    fields = b"".join(
        b"\x1c\x02" + bytes([tag]) + len(text).to_bytes(2, "big") + text
        for tag, text in ((120, "Fête".encode()), (25, b"one"), (25, b"two"), (5, b"Name"))
    )
    resource = b"8BIM\x04\x04\0\0" + len(fields).to_bytes(4, "big") + fields + b"\0" * (len(fields) % 2)
    segment = b"Photoshop 3.0\0" + resource
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(
        data[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]
    )
    [row] = rows_of_file(tmp_path / "a.jpg")
    assert row["body"] == "Title: Name\nDescription: Fête\nKeywords: one, two"
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Description", "Écran")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    assert rows_of_file(tmp_path / "a.png")[0]["body"] == "Description: Écran"


def test_images_that_say_nothing_and_images_that_are_none(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
    assert rows_of_file(tmp_path / "a.gif") == []
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff no image")
    with pytest.raises(DamagedFileError, match="the image cannot be read"):
        rows_of_file(tmp_path / "b.jpg")


def test_entities_in_xmp_are_not_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + XMP.replace("Tower", "&b;")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=bomb.encode())
    assert rows_of_file(tmp_path / "a.jpg") == []


def test_words_in_images_are_read_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "tesseract"
    program.write_text("#!/bin/sh\n[ \"$4\" = eng ] || exit 3\nhead -c 4 | tail -c 3\necho ' words'\n")
    program.chmod(0o755)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(images.OCR, "eng")
    assert rows_of_file(tmp_path / "a.gif")[0]["body"] == "PNG words"
    monkeypatch.setenv(images.OCR, "xxx")
    assert [problem.what for problem in read(tmp_path / "a.gif")[1]] == ["tesseract cannot read it ()"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="Install tesseract-ocr"):
        rows_of_file(tmp_path / "a.gif")

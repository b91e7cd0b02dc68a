"""What a playlist says, and what is refused of one that somebody else wrote."""

from __future__ import annotations

import json

import pytest

from audiomem_sql.audio import Chapter, Part, chapters, index_playlist, media_playlist, parsed_playlist
from audiomem_sql.errors import AudioMemError, DamagedFileError, FormatVersionError, NotAudioMemoryError

PARTS = [
    Part("a-init.mp4", 600, 90),
    Part("a-00001.m4s", 100, 5000, 2.25, "rows 1 to 9"),
    Part("a 2.m4s", 132, 70, 6.5),
]
MEDIA = media_playlist(PARTS)


def test_what_is_written_is_read() -> None:
    assert parsed_playlist(MEDIA.encode(), "x") == [
        Part(each.name, each.place, each.length) for each in PARTS
    ]
    assert parsed_playlist(index_playlist("my table.m3u8", 9).encode(), "x") == "my table.m3u8"


def test_players_are_told_what_the_standard_wants() -> None:
    """RFC 8216: a target duration that no segment is over, the map in front of the first segment, the end."""
    lines = MEDIA.splitlines()
    assert lines[0] == "#EXTM3U"
    assert "#EXT-X-TARGETDURATION:7" in lines
    assert lines.index('#EXT-X-MAP:URI="a-init.mp4"') < lines.index("a-00001.m4s")
    assert lines[lines.index("a-00001.m4s") - 1] == "#EXTINF:2.250000,rows 1 to 9"
    assert "a%202.m4s" in lines
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert 'CODECS="fLaC"' in index_playlist("t.m3u8", 9)


def test_chapters_have_titles_and_rowids() -> None:
    listed = [Chapter(0.0, 2.0, "catalog", None), Chapter(2.0, 3.5, "rows 4 to 9", (4, 9))]
    first, second = json.loads(chapters(listed))
    assert (first["chapter"], second["chapter"]) == (1, 2)
    assert "metadata" not in first
    assert (second["start-time"], second["duration"]) == (2.0, 3.5)
    assert second["titles"] == [{"language": "en", "title": "rows 4 to 9"}]
    assert [entry["value"] for entry in second["metadata"]] == [4, 9]


@pytest.mark.parametrize(
    "uri",
    ["../secret", "/etc/passwd", "a/b.m4s", "..", ".", "%2e%2e%2fx", "a%5Cb", "https://x/y", "a?b", "%00"],
)
def test_nothing_beside_the_playlist_is_left(uri: str) -> None:
    for text in (MEDIA.replace("a-00001.m4s", uri), MEDIA.replace("a-init.mp4", uri)):
        with pytest.raises(DamagedFileError, match=r"kb\.m3u8.*no file beside it"):
            parsed_playlist(text.encode(), "kb.m3u8")
    with pytest.raises(DamagedFileError, match="no file beside it"):
        parsed_playlist(index_playlist("t", 1).replace("\nt\n", f"\n{uri}\n").encode(), "kb.m3u8")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", NotAudioMemoryError),
        ("fLaC", NotAudioMemoryError),
        ("#EXTM3U\n#EXTINF:3,\nother.ts\n#EXT-X-ENDLIST\n", NotAudioMemoryError),
        (MEDIA.replace("#EXTM3U", "#EXTM3U8"), NotAudioMemoryError),
        (MEDIA.replace("STREAM:1", "STREAM:2"), FormatVersionError),
        (MEDIA.replace("#EXT-X-ENDLIST", ""), DamagedFileError),
        (MEDIA.replace("#AUDIOMEM-BYTES:100,5000\n", ""), DamagedFileError),
        (MEDIA.replace("100,5000", "100,-5"), DamagedFileError),
        (MEDIA.replace('#EXT-X-MAP:URI="a-init.mp4"', ""), DamagedFileError),
        (MEDIA.replace("a-00001.m4s", '#EXT-X-MAP:URI="b.mp4"'), DamagedFileError),
        (media_playlist(PARTS[:1]), DamagedFileError),
        (index_playlist("", 1), DamagedFileError),
    ],
)
def test_what_is_no_playlist_of_ours(text: str, error: type[AudioMemError]) -> None:
    with pytest.raises(error, match=r"kb\.m3u8"):
        parsed_playlist(text.encode(), "kb.m3u8")

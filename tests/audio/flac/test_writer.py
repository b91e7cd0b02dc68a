"""Our files in front of the tools that define what FLAC is."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.flac import FLAC

from audio.conftest import SHAPES, ffmpeg, make_pages, pcm, probe, run, shape_id, smallest, write_file
from audiomem_sql.audio import PROFILES, FlacWriter, Profile, frame_offset, open_pages
from audiomem_sql.audio.flac.frames import frame_header
from audiomem_sql.audio.flac.metadata import MAX_SEEK_POINTS, STREAM_HEAD_BYTES, build_metadata
from audiomem_sql.errors import LimitError, OptionError, StorageError


@pytest.mark.parametrize("profile", SHAPES, ids=shape_id)
def test_every_tool_decodes_every_shape(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    pages = make_pages(profile, 5)
    write_file(path, profile, pages)
    expected = pcm(profile, pages)
    bits = profile.bits_per_sample

    assert b"WARNING" not in run("flac", "-t", "-w", "-s", path)
    assert (
        run("flac", "-d", "-s", "-c", "--force-raw-format", "--endian=little", "--sign=signed", path)
        == expected
    )
    assert ffmpeg("-i", path, "-f", f"s{bits}le", "-c:a", f"pcm_s{bits}le", "-") == expected
    assert f"MD5={hashlib.md5(expected).hexdigest()}".encode() in ffmpeg(
        "-i", path, "-f", "md5", "-c:a", f"pcm_s{bits}le", "-"
    )
    sox_raw = run("sox", "-V1", "-D", path, "-t", "raw", "-e", "signed", "-b", str(bits), "-L", "-")
    assert sox_raw == expected
    with soundfile.SoundFile(path) as sound:
        assert (sound.samplerate, sound.channels, sound.frames) == (
            profile.sample_rate,
            profile.channels,
            5 * profile.block_size,
        )
    md5 = run("metaflac", "--show-md5sum", path).decode().strip()
    assert md5 == hashlib.md5(expected).hexdigest()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=shape_id)
def test_metadata_as_others_read_it(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    writer = write_file(
        path, profile, make_pages(profile, 4), b"\x00\x01payload", {"Title": "Größe=1", "X": ""}
    )
    listing = run("metaflac", "--list", path).decode()
    kinds = [line.split("(")[1].rstrip(")") for line in listing.splitlines() if line.startswith("  type:")]
    assert kinds == ["STREAMINFO", "APPLICATION", "SEEKTABLE", "VORBIS_COMMENT", "PADDING"]
    assert f"minimum blocksize: {profile.block_size} samples" in listing
    assert f"maximum blocksize: {profile.block_size} samples" in listing
    assert "application ID: 4155444d" in listing
    assert "vendor string: audiomem-sql " in listing

    tags = FLAC(path)
    assert tags["title"] == ["Größe=1"]
    assert tags["x"] == [""]
    assert tags.info.total_samples == 4 * profile.block_size
    assert tags.info.bits_per_sample == profile.bits_per_sample
    assert tags.info.min_framesize == frame_offset(profile, 0, 1)
    source = open_pages(path, probe)
    assert source.application == b"\x00\x01payload"
    assert source.comments == {"TITLE": "Größe=1", "X": ""}
    source.close()
    assert path.stat().st_size == writer.file_size


def test_tag_editors_may_change_the_padding(tmp_path: Path) -> None:
    profile = PROFILES["mobile"]
    path = tmp_path / "a.flac"
    pages = make_pages(profile, 4)
    write_file(path, profile, pages)
    for text in ("short", "long " * 5000):
        tags = FLAC(path)
        tags["artist"] = text
        tags.save()
        source = open_pages(path, probe)
        assert source.verbatim
        assert (source.application, source.comments["ARTIST"]) == (b"hint", text)
        assert np.array_equal(source.read(0, 4), pages)
        source.close()
    run("flac", "-t", "-s", path)


@pytest.mark.parametrize("n", [1, 0x7F, 0x80, 0x81, 0x7FF, 0x800, 0x801])
def test_frame_numbers_of_one_two_and_three_bytes(n: int, tmp_path: Path) -> None:
    profile = smallest(16, 1)
    path = tmp_path / "a.flac"
    pages = make_pages(profile, n)
    write_file(path, profile, pages)
    run("flac", "-t", "-w", "-s", path)
    ffmpeg("-i", path, "-f", "null", "-")
    source = open_pages(path, probe)
    assert (source.page_count, source.present, source.verbatim) == (n, n, True)
    assert np.array_equal(source.read(0, n), pages)
    assert np.array_equal(source.read(max(0, n - 3), min(n, 3)), pages[-3:])
    source.close()


def test_seek_points_are_true(tmp_path: Path) -> None:
    profile = smallest(16, 2, sample_rate=1_000)
    path = tmp_path / "a.flac"
    pages = make_pages(profile, 300)
    writer = write_file(path, profile, pages)
    data = path.read_bytes()
    points = FLAC(path).seektable.seekpoints
    seconds = 300 * profile.block_size / 1_000
    assert len(points) == 1 + int(seconds // 10)
    for point in points:
        n, rest = divmod(point.first_sample, profile.block_size)
        assert (rest, point.num_samples) == (0, profile.block_size)
        at = writer.audio_start + point.byte_offset
        assert data.startswith(frame_header(profile, n), at)
        assert at == frame_offset(profile, writer.audio_start, n)
    skip = 217 * profile.block_size + 5
    raw = run(
        "flac",
        "-d",
        "-s",
        "-c",
        f"--skip={skip}",
        "--force-raw-format",
        "--endian=little",
        "--sign=signed",
        path,
    )
    assert raw == pcm(profile, pages)[skip * 4 :]


def test_seek_table_has_an_upper_limit() -> None:
    metadata = build_metadata(PROFILES["desktop"], 10_000_000, b"", {}, 0)
    behind = STREAM_HEAD_BYTES + 4 + 4  # an empty APPLICATION block
    assert int.from_bytes(metadata[behind + 1 : behind + 4], "big") == 18 * MAX_SEEK_POINTS


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(SHAPES[3:]),
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.binary(max_size=100),
    st.dictionaries(
        st.text("ABC_19 ", min_size=1, max_size=5), st.text(st.characters(codec="utf-8"), max_size=20)
    ),
    st.integers(0, 2**32 - 1),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    profile: Profile,
    parts: list[int],
    application: bytes,
    comments: dict[str, str],
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("round") / "a.flac"
    pages = make_pages(profile, sum(parts) + 1, seed)
    with path.open("wb", buffering=0) as sink:
        writer = FlacWriter(sink, profile, len(pages), application, comments, padding=0)
        done = 0
        for part in (*parts, 1):
            writer.write_pages(pages[done : done + part])
            done += part
        writer.close()
    source = open_pages(path, probe)
    assert source.verbatim
    assert (source.application, source.comments) == (application, comments)
    assert np.array_equal(source.read(0, len(pages)), pages)
    assert all(np.array_equal(source.read(n, 1)[0], page) for n, page in enumerate(pages))
    source.close()


def test_writer_keeps_to_its_part_of_the_sink() -> None:
    profile = smallest(24, 1)
    pages = make_pages(profile, 3)
    sink = io.BytesIO(b"before")
    sink.seek(6)
    writer = FlacWriter(sink, profile, 3, b"", {})
    writer.write_pages(pages)
    writer.close()
    writer.close()
    assert not sink.closed
    assert sink.tell() == 6 + writer.file_size
    with soundfile.SoundFile(io.BytesIO(sink.getvalue()[6:])) as sound:
        assert len(sound.read(dtype="int32")) == 3 * profile.block_size


def test_writer_refuses_what_makes_no_file() -> None:
    profile = smallest(16, 1)
    pages = make_pages(profile, 2)
    for arguments in (
        (0, b"", {}),
        (1, b"", {"A=B": ""}),
        (1, b"", {"": ""}),
        (1, b"", {"Ä": ""}),
        (1, b"", {"A": "\ud800"}),
    ):
        with pytest.raises(OptionError):
            FlacWriter(io.BytesIO(), profile, *arguments)
    with pytest.raises(OptionError):
        FlacWriter(io.BytesIO(), profile, 1, b"", {}, padding=-1)
    with pytest.raises(LimitError, match="metadata block"):
        FlacWriter(io.BytesIO(), profile, 1, bytes(1 << 24), {})
    with pytest.raises(LimitError, match="more samples"):
        FlacWriter(io.BytesIO(), profile, 1 << 25, b"", {})
    writer = FlacWriter(io.BytesIO(), profile, 2, b"", {})
    for wrong in (pages[0], pages[:, :-1], pages.astype(np.int16)):
        with pytest.raises(OptionError, match="uint8"):
            writer.write_pages(wrong)
    writer.write_pages(pages[:1])
    with pytest.raises(OptionError, match="1 pages, where 2"):
        writer.close()
    with pytest.raises(OptionError, match="3 pages, where 2"):
        writer.write_pages(pages)
    writer.write_pages(pages[1:])
    writer.close()
    with pytest.raises(OptionError, match="complete"):
        writer.write_pages(pages[:0])


def test_a_full_disk_is_a_storage_error() -> None:
    profile = smallest(16, 1)
    with (
        open("/dev/full", "wb", buffering=0) as sink,
        pytest.raises(StorageError, match=r"/dev/full: page 0: cannot be written: No space"),
    ):
        FlacWriter(sink, profile, 1, b"", {})

"""Pages of our own files: reading, and what is wrong with files that cannot be opened."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
from open_files import open_below

from audio.conftest import make_pages, probe, run, write_file
from audiomem_sql.audio import PROFILES, PageSource, VerbatimPages, frame_offset, open_pages
from audiomem_sql.errors import (
    DamagedFileError,
    NotAudioMemoryError,
    OptionError,
    StorageError,
    TruncatedFileError,
)

PROFILE = PROFILES["mobile"]


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    pages = make_pages(PROFILE, 140)
    write_file(path, PROFILE, pages)
    source: PageSource = open_pages(path, probe)
    assert isinstance(source, VerbatimPages)
    assert (source.path, source.profile, source.page_count, source.present) == (str(path), PROFILE, 140, 140)
    for first, count in ((0, 140), (120, 20), (127, 1), (128, 1), (126, 4), (139, 1), (140, 0), (0, 0)):
        got = source.read(first, count)
        assert (got.dtype, got.shape) == (np.uint8, (count, PROFILE.page_size))
        assert got.flags.writeable
        assert np.array_equal(got, pages[first : first + count])
    with pytest.raises(TruncatedFileError, match=r"a\.flac: page 140: the file ends after 140 of 141 pages"):
        source.read(140, 1)
    for first, count in ((-1, 2), (0, -1)):
        with pytest.raises(OptionError):
            source.read(first, count)
    source.close()
    source.close()
    with pytest.raises(StorageError, match="closed"):
        source.read(0, 1)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_file(path, PROFILE, make_pages(PROFILE, 4))
    run("flac", "-s", "--blocksize=1152", path, "-o", tmp_path / "b.flac")
    (tmp_path / "c.flac").write_bytes(path.read_bytes()[:3000])
    for name in ("a.flac", "b.flac"):
        open_pages(tmp_path / name, probe).close()
    with pytest.raises(DamagedFileError):
        open_pages(tmp_path / "c.flac", probe)
    for name in ("a.flac", "b.flac"):
        with pytest.raises(NotAudioMemoryError):
            open_pages(tmp_path / name, refuse)
    assert not open_below(tmp_path)


def refuse(head: bytes) -> int:
    raise NotAudioMemoryError("not mine")


def test_other_errors_of_the_probe_pass_through(tmp_path: Path) -> None:
    class NewerError(Exception):
        pass

    def newer(head: bytes) -> int:
        raise NewerError

    path = tmp_path / "a.flac"
    write_file(path, PROFILE, make_pages(PROFILE, 4))
    run("flac", "-s", "--blocksize=1152", path, "-o", tmp_path / "b.flac")
    for name in ("a.flac", "b.flac"):
        with pytest.raises(NewerError):
            open_pages(tmp_path / name, newer)
        with pytest.raises(NotAudioMemoryError, match="block size 1000"):
            open_pages(tmp_path / name, lambda head: 1000)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("a text that is long enough to be something else " * 100)
    (tmp_path / "short").write_bytes(b"fL")
    os.mkfifo(tmp_path / "pipe")
    run("sox", "-n", tmp_path / "sound.wav", "synth", "1", "sine", "440")
    for name, error, message in (
        ("missing", StorageError, "no such file"),
        (".", StorageError, "is a folder"),
        ("pipe", StorageError, "is a device or a pipe"),
        ("text/below", StorageError, "cannot be opened: Not a directory"),
        ("nul\0", StorageError, "cannot be opened"),
        ("empty", NotAudioMemoryError, "is empty"),
        ("text", NotAudioMemoryError, "not a FLAC file"),
        ("short", NotAudioMemoryError, "not a FLAC file"),
        ("sound.wav", NotAudioMemoryError, "not a FLAC file"),
    ):
        with pytest.raises(error, match=message):
            open_pages(tmp_path / name, probe)
    with pytest.raises(StorageError, match="device"):
        open_pages("/dev/null", probe)


def test_truncated(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.flac", tmp_path / "cut.flac"
    pages = make_pages(PROFILE, 140)
    start = write_file(path, PROFILE, pages).audio_start
    data = path.read_bytes()
    for keep in (1, 2, 60, 127, 128, 129, 139):
        end = frame_offset(PROFILE, start, keep)
        for length in (
            end,
            end + 1,
            end + 3,
            end + 8,
            end + 9000,
            frame_offset(PROFILE, start, keep + 1) - 1,
        ):
            cut.write_bytes(data[:length])
            source = open_pages(cut, probe)
            assert source.verbatim
            assert (source.page_count, source.present) == (140, keep)
            assert np.array_equal(source.read(0, keep), pages[:keep])
            with pytest.raises(
                TruncatedFileError, match=rf"cut\.flac: .*the file ends after {keep} of 140 pages"
            ):
                source.read(keep - 1, 2)
            got, ok = source.read_checked(keep - 1, 3)
            assert ok.tolist() == [True, False, False]
            assert np.array_equal(got[0], pages[keep - 1])
            half = min(PROFILE.channel_size, max(0, length - end - 9))
            assert np.array_equal(got[1, :half], pages[keep : keep + 1, :half].reshape(-1)[:half])
            source.close()


def test_a_file_cut_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    pages = make_pages(PROFILE, 10)
    start = write_file(path, PROFILE, pages).audio_start
    source = open_pages(path, probe)
    os.truncate(path, frame_offset(PROFILE, start, 4) + 100)
    got, ok = source.read_checked(2, 5)
    assert ok.tolist() == [True, True, False, False, False]
    assert np.array_equal(got[:2], pages[2:4])
    with pytest.raises(DamagedFileError, match="page 4"):
        source.read(2, 5)
    source.close()


def test_appended_bytes_are_not_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    pages = make_pages(PROFILE, 10)
    write_file(path, PROFILE, pages)
    with path.open("ab") as sink:
        sink.write(b"TAG" + bytes(125))
    for extra in (0, PROFILE.page_size + 50):
        with path.open("ab") as sink:
            sink.write(bytes(extra))
        source = open_pages(path, probe)
        assert (source.verbatim, source.page_count, source.present) == (True, 10, 10)
        assert np.array_equal(source.read(0, 10), pages)
        source.close()


def test_damaged_metadata_keeps_nothing_alive(tmp_path: Path) -> None:
    """An error that was caught must not hold the frames that it came through.

    They would hold all that the callers have.
    """
    path = tmp_path / "a.flac"
    write_file(path, PROFILE, make_pages(PROFILE, 10))
    path.write_bytes(bytes(100) + path.read_bytes()[100:])

    def opened() -> weakref.ref[np.ndarray]:
        mine = np.zeros(1000)
        source = open_pages(path, probe)
        assert source.verbatim
        source.close()
        return weakref.ref(mine)

    gc.disable()
    try:
        assert opened()() is None
    finally:
        gc.enable()

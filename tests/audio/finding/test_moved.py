"""Files with bytes put in, taken out, cut off and overwritten: what is left is found, in its place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from audio.conftest import make_pages, probe, run, write_file
from audio.damaged import Good, Spoiled, spoil
from audiomem_sql.audio import (
    PROFILES,
    DecodedPages,
    PageSource,
    Profile,
    ScannedPages,
    VerbatimPages,
    open_pages,
    rescan,
)
from audiomem_sql.audio.flac.frames import Bytes, frame_header, header_size
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError, TruncatedFileError

MOBILE = PROFILES["mobile"]
SIZES = [1, 2, 3, 4095, 4096, 12_288, 12_299, 100_000]


def noise(profile: Profile, count: int) -> Bytes:
    pages = np.random.default_rng(count).integers(0, 256, (count, profile.page_size), dtype=np.uint8)
    pages[:, :64] = make_pages(profile, count)[:, :64]
    return pages


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return Good(tmp_path_factory.mktemp("moved"), MOBILE, noise(MOBILE, 150))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return Good(tmp_path_factory.mktemp("large"), MOBILE, noise(MOBILE, 3300))


def opened(good: Good, spoiled: Spoiled) -> PageSource:
    good.copy.write_bytes(spoiled.data.tobytes())
    return open_pages(good.copy, probe)


@pytest.mark.parametrize(
    ("name", "count", "files"),
    [("mobile", 24, 120), ("desktop", 14, 60), ("embedded", 30, 60), ("server", 7, 30)],
)
def test_untouched_cells_are_found(name: str, count: int, files: int, tmp_path: Path) -> None:
    """A cell that nothing happened to is read right, or is among the alternatives.

    This holds if nothing was put in or taken out between it and the intact frame header before it, or the one
    after it.
    """
    good = Good(tmp_path, PROFILES[name], noise(PROFILES[name], count))
    kinds: Counter[type] = Counter()
    first = untouched = 0
    for seed in range(files):
        spoiled, story = spoil(np.random.default_rng(seed), good)
        source = opened(good, spoiled)
        lost, *_ = good.wrong_cells(source, spoiled)
        source.close()
        if lost:  # as much was put in as was taken out: only those who see pages fail can know
            assert isinstance(source, VerbatimPages), story
            assert len(spoiled.data) == len(good.data) or "cut" in story, story
        source = rescan(good.copy, good.profile, count)
        lost, right, cells = good.wrong_cells(source, spoiled)
        source.close()
        assert lost == [], f"seed {seed}: {story}"
        kinds[type(source)] += 1
        first, untouched = first + right, untouched + cells
    assert first > 0.95 * untouched


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", ["in", "out"])
def test_one_place(good: Good, change: str, size: int) -> None:
    rng = np.random.default_rng(size)
    for place in (10, 3000, *rng.integers(good.start, len(good.data) - size, 7).tolist()):
        spoiled = Spoiled.whole(good.data)
        if change == "in":
            spoiled.insert(place, rng.bytes(size))
        else:
            spoiled.remove(place, size)
        source = opened(good, spoiled)
        assert source.verbatim
        assert source.page_count in (
            150,
            150 - size // MOBILE.page_size - 1,
        )  # the length may be lost with the metadata
        pages, ok = source.read_checked(0, 150)
        end = place + (size if change == "out" else 0)
        for n in range(150):
            if good.offset(n + 1) <= place or good.offset(n) >= end:
                assert ok[n], (place, n)
                assert np.array_equal(pages[n], good.pages[n])
            elif not ok[n]:
                with pytest.raises((DamagedFileError, TruncatedFileError), match=f"page {n}"):
                    source.read(n, 1)
        assert good.wrong_cells(source, spoiled)[0] == []
        source.close()


def test_inserted_bytes_are_told_by_the_crc(good: Good) -> None:
    """Where bytes were put into a page, the frame's CRC-16 tells which."""
    rng = np.random.default_rng(1)
    whole = 0
    for _ in range(40):
        n = int(rng.integers(1, 148))
        spoiled = Spoiled.whole(good.data)
        spoiled.insert(
            good.place(n, int(rng.integers(MOBILE.page_size))), rng.bytes(int(rng.integers(1, 5000)))
        )
        source = opened(good, spoiled)
        whole += np.array_equal(source.read_checked(n, 1)[0], good.pages[n : n + 1])
        source.close()
    assert whole > 28


@pytest.mark.parametrize("filler", ["zeros", "noise", "ff"])
@pytest.mark.parametrize("where", ["front", "middle", "end", "most"])
def test_holes_in_large_files(large: Good, where: str, filler: str) -> None:
    """40 MB, the damage larger than any window; the front is always lost, and its metadata with it."""
    good, size = large, len(large.data)
    hole = int(size * (0.8 if where == "most" else 0.15))
    at = {"front": 0, "middle": size // 2, "end": size - hole, "most": 0}[where]
    fill = {"zeros": bytes(hole), "noise": np.random.default_rng(0).bytes(hole), "ff": b"\xff" * hole}[filler]
    spoiled = Spoiled.whole(good.data)
    spoiled.overwrite(at, fill)
    spoiled.overwrite(0, fill[:9000])
    source = opened(good, spoiled)
    assert isinstance(source, VerbatimPages)
    assert (source.page_count, source.present) == (3300, 3300)
    pages, ok = source.read_checked(0, 3300)
    for n in range(3300):
        first, end = good.offset(n), good.offset(n + 1)
        hit = first < 9000 or (at < end and first < at + hole)
        assert ok[n] or hit
        assert hit or np.array_equal(pages[n], good.pages[n])
    source.close()


def test_lost_page_headers(good: Good) -> None:
    spoiled = Spoiled.whole(good.data)
    for n in range(100):
        spoiled.overwrite(good.place(n, 0), bytes(64))
    source = opened(good, spoiled)
    assert isinstance(source, VerbatimPages)
    source.close()
    spoiled.remove(good.offset(120) + 5000, 3)
    source = opened(good, spoiled)
    assert isinstance(source, ScannedPages)
    source.close()
    for n in range(100, 150):
        spoiled.overwrite(good.place(n, 0), bytes(64))
    with pytest.raises((NotAudioMemoryError, DamagedFileError)):
        opened(good, spoiled)


def test_copied_frames(good: Good) -> None:
    """Frames that are there twice, put in or written over others, displace none but those they overwrite."""
    start, stop = good.offset(30) - 100, good.offset(34) + 100
    copied = good.data[start:stop]
    for target in (good.offset(5) + 7000, good.offset(80) + 7000, good.offset(147) + 7000):
        spoiled = Spoiled.whole(good.data)
        spoiled.insert(target, copied)
        source = opened(good, spoiled)
        pages, ok = source.read_checked(0, 150)
        assert [n for n in range(150) if not np.array_equal(pages[n], good.pages[n])] in (
            [],
            [int(np.argmin(ok))],
        )
        assert good.wrong_cells(source, spoiled)[0] == []
        source.close()
        spoiled = Spoiled.whole(good.data)
        spoiled.overwrite(target - 3000, copied[:20_000])
        source = opened(good, spoiled)
        assert good.wrong_cells(source, spoiled)[0] == []
        source.close()
        source = rescan(good.copy, MOBILE)
        assert good.wrong_cells(source, spoiled)[0] == []
        source.close()


def test_a_file_of_ours_inside_pages(tmp_path: Path) -> None:
    """A table in a column of a table, of the same profile.

    Its frames are in the pages, with gaps where pages end.
    """
    inner = Good(tmp_path, MOBILE, noise(MOBILE, 40))
    pages = noise(MOBILE, 60)
    pages[4:48, 64:].reshape(-1)[: len(inner.data)] = np.frombuffer(inner.data, np.uint8)
    good = Good(tmp_path, MOBILE, pages)
    for place in (good.offset(2) + 500, good.offset(20) + 500, good.offset(55) + 500):
        for change in (-5, 5, 0):
            spoiled = Spoiled.whole(good.data)
            spoiled.overwrite(0, bytes(good.start + 100))
            if change > 0:
                spoiled.insert(place, bytes(change))
            elif change < 0:
                spoiled.remove(place, -change)
            source = opened(good, spoiled)
            assert good.wrong_cells(source, spoiled)[0] == []
            assert source.present == 60
            source.close()


def test_encoded_again_and_damaged(tmp_path: Path) -> None:
    """Frames that an encoder made smaller are never taken for ours, however damaged the file is."""
    pages = noise(MOBILE, 60)
    pages[[7, 20, 21, 44], 6000:] = 0
    write_file(tmp_path / "a.flac", MOBILE, pages)
    run("flac", "-s", "--blocksize=2048", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    data = (tmp_path / "b.flac").read_bytes()
    rng = np.random.default_rng(0)
    for turn in range(60):
        spoiled = Spoiled.whole(data)
        for _ in range(turn % 4):
            spoiled.overwrite(int(rng.integers(10_000, len(data))), rng.bytes(int(rng.choice([1, 4096]))))
        (tmp_path / "c.flac").write_bytes(spoiled.data.tobytes())
        source = open_pages(tmp_path / "c.flac", probe)
        assert isinstance(source, DecodedPages)
        assert source.alternatives(3).shape == (0, MOBILE.page_size)
        source.close()


def test_one_smaller_frame_in_a_large_file(large: Good, tmp_path: Path) -> None:
    """No window sees it; the search through the whole file does."""
    pages = large.pages.copy()
    pages[100, 6000:] = 0
    write_file(tmp_path / "a.flac", MOBILE, pages)
    run("flac", "-s", "-1", "--blocksize=2048", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    source = open_pages(tmp_path / "b.flac", probe)
    assert isinstance(source, DecodedPages)
    assert np.array_equal(source.read(95, 10), pages[95:105])
    source.close()


def test_what_is_read_of_the_file(good: Good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A healthy file: a few bytes. Music: a little of it. Noise: not all of it, however large."""
    read = 0
    plain = LocalFile.read_at

    def counted(self: LocalFile, offset: int, length: int) -> bytes:
        nonlocal read
        data = plain(self, offset, length)
        read += len(data)
        return data

    monkeypatch.setattr(LocalFile, "read_at", counted)
    open_pages(good.copy.with_name("good.flac"), probe).close()
    assert 0 < read < 2048
    music = tmp_path / "music.flac"
    run("sox", "-V1", "-n", "-r", "48000", "-c", "2", "-b", "24", music, "synth", "40", "pinknoise")
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(100 << 20))
    for path, most in ((music, 5 << 20), (tmp_path / "noise", 72 << 20)):
        read = 0
        assert path.stat().st_size > most
        with pytest.raises(NotAudioMemoryError):
            open_pages(path, probe)
        assert read < most


@pytest.mark.parametrize("kind", ["rising", "falling", "same", "huge", "random"])
def test_files_made_to_be_bad(kind: str, tmp_path: Path) -> None:
    """Headers everywhere, of rising, falling and absurd numbers.

    That gives our errors, pages that are flagged, and an end.
    """
    path, rng = tmp_path / "bad.flac", np.random.default_rng(0)
    head = make_pages(MOBILE, 1)[0, :64].tobytes()
    numbers = {
        "rising": list(range(5000)),
        "falling": list(range(5000, 0, -1)),
        "same": [5] * 5000,
        "huge": list(range(2**31 - 5000, 2**31)),
        "random": rng.integers(0, 2**31, 5000).tolist(),
    }[kind]
    headers = [frame_header(MOBILE, n) for n in numbers]
    for body in (b"\2", b"\2" + head, b"\2" + head + bytes(3000)):
        path.write_bytes(b"fLaC" + b"".join(header + body for header in headers))
        for source in filter(None, (attempt(path, way) for way in range(3))):
            for first in (0, max(0, source.present - 20), source.page_count):
                pages, ok = source.read_checked(first, 20)
                assert pages.shape == (20, MOBILE.page_size)
                assert ok.sum() <= 1
                assert source.alternatives(first).shape[1:] == (MOBILE.page_size,)
            source.close()


def attempt(path: Path, way: int) -> PageSource | None:
    try:
        return open_pages(path, probe) if way == 0 else rescan(path, MOBILE, 30 * (way - 1))
    except (DamagedFileError, NotAudioMemoryError):
        return None


def test_rescan(good: Good, tmp_path: Path) -> None:
    path = good.copy.with_name("good.flac")
    source = rescan(path, MOBILE)
    assert (source.page_count, source.present, source.application, source.comments["TITLE"]) == (
        150,
        150,
        b"hint",
        "notes",
    )
    assert np.array_equal(source.read(0, 150), good.pages)
    assert [len(source.alternatives(n)) for n in range(150)] == [0] * 150
    with pytest.raises(TruncatedFileError, match="page 150"):
        source.read(150, 1)
    source.close()
    with pytest.raises(DamagedFileError, match=r"good\.flac: no intact frame header"):
        rescan(path, PROFILES["desktop"])
    data = bytearray(good.data)
    for n in range(150):
        data[good.offset(n) + header_size(MOBILE, n)] ^= 1  # the mark of the first subframe
        data[good.offset(n + 1) - 1] ^= 1  # CRC-16
    (tmp_path / "a.flac").write_bytes(data)
    source = rescan(tmp_path / "a.flac", MOBILE)
    pages, ok = source.read_checked(0, 150)
    assert not ok.any()
    assert np.array_equal(pages, good.pages)
    source.close()

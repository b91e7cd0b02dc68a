"""Whatever happens to the bytes: our errors, or pages that are right, or pages that are flagged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio.conftest import make_pages, probe, run, write_file
from audiomem_sql.audio import PROFILES, FlacWriter, PageSource, frame_offset, open_pages
from audiomem_sql.audio.flac.frames import Bytes, header_size
from audiomem_sql.audio.flac.metadata import MD5_OFFSET
from audiomem_sql.errors import AudioMemError, DamagedFileError, NotAudioMemoryError

PROFILE = PROFILES["mobile"]
COUNT = 24


class Original:
    """A sound file, its bytes and pages, and a place to put damaged copies."""

    def __init__(self, folder: Path) -> None:
        self.pages = make_pages(PROFILE, COUNT)
        self.path = folder / "a.flac"
        self.writer: FlacWriter = write_file(self.path, PROFILE, self.pages)
        self.data = self.path.read_bytes()
        self.copy = folder / "copy.flac"
        run("flac", "-s", "-1", "--blocksize=1152", self.path, "-o", folder / "b.flac")
        self.reencoded = (folder / "b.flac").read_bytes()

    def offset(self, n: int) -> int:
        return frame_offset(PROFILE, self.writer.audio_start, n)

    def open(self, data: bytes | bytearray) -> PageSource:
        self.copy.write_bytes(data)
        return open_pages(self.copy, probe)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return Original(tmp_path_factory.mktemp("damage"))


def read_all(source: PageSource) -> tuple[Bytes, list[bool]]:
    try:
        count = min(source.present, COUNT + 5)
        pages, ok = source.read_checked(0, count)
        assert pages.shape == (count, PROFILE.page_size)
        if ok.all():
            assert np.array_equal(source.read(0, count), pages)
        else:
            with pytest.raises(DamagedFileError, match=f"page {int(np.argmin(ok))}:"):
                source.read(0, count)
        return pages, ok.tolist()
    finally:
        source.close()


def test_every_byte_of_the_metadata(original: Original) -> None:
    start = original.writer.audio_start
    places = [*range(200), *range(200, start, 97)]
    for place in places:
        for mask in (0x01, 0x80, 0xFF):
            data = bytearray(original.data)
            data[place] ^= mask
            source = original.open(data)
            assert source.verbatim
            pages, ok = read_all(source)
            assert all(ok)
            assert np.array_equal(pages, original.pages)


def test_lost_beginnings(original: Original) -> None:
    rng = np.random.default_rng(0)
    for length in (
        4,
        42,
        1000,
        original.offset(0),
        original.offset(0) + 7,
        original.offset(1),
        original.offset(9) + 99,
    ):
        for filler in (bytes(length), b"\xff" * length, rng.bytes(length)):
            source = original.open(filler + original.data[length:])
            assert source.verbatim
            assert (source.page_count, source.present) == (COUNT, COUNT)
            pages, ok = read_all(source)
            for n in range(COUNT):
                assert ok[n] == (original.offset(n) >= length)
                if ok[n]:
                    assert np.array_equal(pages[n], original.pages[n])


def test_header_and_subframe_bytes(original: Original) -> None:
    rng = np.random.default_rng(1)
    marks = header_size(PROFILE, 0)
    for _ in range(200):
        n = int(rng.integers(COUNT))
        place = int(rng.choice([*range(marks + 1), marks + 1 + PROFILE.channel_size]))
        data = bytearray(original.data)
        data[original.offset(n) + place] ^= 1 << int(rng.integers(8))
        source = original.open(data)
        assert source.verbatim
        pages, ok = read_all(source)
        assert ok == [other != n for other in range(COUNT)]
        assert np.array_equal(pages, original.pages), (
            "the samples are whole, only the frame around them is not"
        )


def test_sample_bytes_stay_local(original: Original) -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        n = int(rng.integers(COUNT))
        place = int(rng.integers(PROFILE.channel_size))
        data = bytearray(original.data)
        data[original.offset(n) + header_size(PROFILE, n) + 1 + place] ^= 0xFF
        pages, ok = read_all(original.open(data))
        assert all(ok)
        assert np.argwhere(pages != original.pages).tolist() == [[n, place]]


def test_overwritten_sectors(original: Original) -> None:
    rng = np.random.default_rng(3)
    sectors = len(original.data) // 4096
    for _ in range(60):
        data = bytearray(original.data)
        hit = rng.choice(sectors, sectors // 6, replace=False)
        for sector in hit:
            data[sector * 4096 : (sector + 1) * 4096] = rng.bytes(4096)
        source = original.open(data)
        assert source.verbatim
        assert source.present == COUNT
        pages, ok = read_all(source)
        assert sum(ok) >= COUNT - 2 * len(hit)
        same = (pages == original.pages).mean()
        assert same > 1 - (len(hit) + 1) * 4096 / len(original.data)


def test_truncations_anywhere(original: Original) -> None:
    rng = np.random.default_rng(4)
    start = original.writer.audio_start
    for data in (original.data, original.reencoded):
        lengths = [*range(60), *range(60, start, 311), *rng.integers(start, len(data), 60).tolist()]
        for length in lengths:
            try:
                source = original.open(data[:length])
            except (NotAudioMemoryError, DamagedFileError):
                assert length < start + PROFILE.page_size
                continue
            assert source.present <= source.page_count == COUNT
            pages, ok = read_all(source)
            assert np.array_equal(pages[ok], original.pages[: len(ok)][ok])


def test_random_damage_to_reencoded_files(original: Original) -> None:
    rng = np.random.default_rng(5)
    for turn in range(150):
        data = bytearray(original.reencoded)
        for place in rng.integers(0, len(data) if turn % 2 else 300, 1 + turn % 5):
            data[place] = rng.integers(256)
        try:
            source = original.open(data)
        except AudioMemError:
            continue
        pages, ok = read_all(source)
        if source.profile == PROFILE and turn % 2:
            wrong = [
                n for n, good in enumerate(ok) if good and not np.array_equal(pages[n], original.pages[n])
            ]
            assert wrong == []


def test_garbage_after_the_magic(original: Original) -> None:
    rng = np.random.default_rng(6)
    streaminfo = original.data[4:42]
    for data in (
        b"fLaC",
        b"fLaC\x00",
        b"fLaC\xff",
        b"fLaC" + b"\xff" * 40,
        b"fLaC" + bytes(40),
        b"fLaC" + b"\x80\x00\x00\x22" + bytes(34),
        b"fLaC" + b"\x84\x00\x00\x04" + bytes(4),
        b"fLaC" + b"\x00\xff\xff\xff" + bytes(100),
        b"fLaC" + streaminfo,
        b"fLaC" + streaminfo * 3,
        b"fLaC" + streaminfo + b"\x04\xff\xff\xff",
        b"fLaC" + streaminfo + b"\x84\x00\x00\x08" + b"\xff" * 8,
        b"fLaC" + streaminfo + b"\x84\x00\x00\x08" + b"\xff" * 8 + rng.bytes(5000),
        b"fLaC" + streaminfo + b"\x82\x00\x00\x02AU",
        b"ID3\4\0\0\x7f\x7f\x7f\x7f" + original.data[:100],
        *(b"fLaC" + rng.bytes(1 << size) for size in range(14)),
        *(original.data[:MD5_OFFSET] + rng.bytes(1 << size) for size in range(14)),
    ):
        with pytest.raises((NotAudioMemoryError, DamagedFileError), match=r"copy\.flac: "):
            original.open(data)


def test_damaged_comments_are_left_out(original: Original) -> None:
    at = original.data.index(b"audiomem-sql ") - 4
    for vendor, entries in ((0xFFFFFFFF, 1), (18, 0xFFFFFFFF), (18, 1)):
        data = bytearray(original.data)
        data[at : at + 4] = vendor.to_bytes(4, "little")
        size = at + 4 + len(b"audiomem-sql 0.1.0")
        data[size : size + 4] = entries.to_bytes(4, "little")
        source = original.open(data)
        assert source.comments in ({}, {"TITLE": "notes"})
        assert source.application == b"hint"
        source.close()


def test_a_wrong_total_in_streaminfo(original: Original) -> None:
    for total, expected in (
        (0, COUNT),
        (1, COUNT),
        (5 * PROFILE.block_size, COUNT),
        (99 * PROFILE.block_size, 99),
    ):
        data = bytearray(original.data)
        data[22:26] = total.to_bytes(4, "big")
        source = original.open(data)
        assert (source.verbatim, source.page_count, source.present) == (True, expected, COUNT)
        assert np.array_equal(source.read(0, COUNT), original.pages)
        source.close()
        source = original.open(data[: original.offset(20) + 50])
        assert source.present == 20
        assert source.page_count == {0: 21, 1: 21, 99 * PROFILE.block_size: 99}.get(total, source.present)
        source.close()


def test_a_sound_file_kept_inside_a_page_is_not_mistaken_for_the_file(tmp_path: Path) -> None:
    inner = PROFILES["embedded"]
    write_file(tmp_path / "inner.flac", inner, make_pages(inner, 4), padding=0)
    embedded = np.frombuffer((tmp_path / "inner.flac").read_bytes(), dtype=np.uint8)
    outer = PROFILES["server"]
    outer = type(outer)("custom", outer.sample_rate, 24, 1, 63 * 1024)
    pages = make_pages(outer, 6)
    for page in pages:
        page[1000 : 1000 + len(embedded)] = embedded
    write_file(tmp_path / "outer.flac", outer, pages)
    data = (tmp_path / "outer.flac").read_bytes()
    (tmp_path / "outer.flac").write_bytes(bytes(5000) + data[5000:])
    source = open_pages(tmp_path / "outer.flac", probe)
    assert source.verbatim
    assert source.profile.block_size == outer.block_size
    got, ok = source.read_checked(0, 6)
    assert ok.tolist() == [False, True, True, True, True, True]
    assert np.array_equal(got[1:], pages[1:])
    source.close()

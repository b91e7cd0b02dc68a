"""Files that went through other encoders and containers have the same pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from audio.conftest import PROFILES, SHAPES, ffmpeg, make_pages, probe, run, shape_id, smallest, write_file
from audiomem_sql.audio import Profile, open_pages
from audiomem_sql.audio.flac.frames import Bytes
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError, TruncatedFileError

PAGES = 11
Way = Callable[[Path, Path], object]


def through(suffix: str, *codec: str) -> Way:
    def way(source: Path, target: Path) -> None:
        between = target.with_suffix(suffix)
        ffmpeg("-i", source, *codec, between)
        ffmpeg("-i", between, target)

    return way


def through_alac(channels: int) -> Way:
    """ALAC knows four channels as 4.0 only; without a channel map ffmpeg mixes quad into it."""

    def way(source: Path, target: Path) -> None:
        there, back = (
            ("-af", f"channelmap=0|1|2|3:{layout}") if channels == 4 else () for layout in ("4.0", "quad")
        )
        ffmpeg("-i", source, *there, "-c:a", "alac", target.with_suffix(".m4a"))
        ffmpeg("-i", target.with_suffix(".m4a"), *back, target)

    return way


def decode_and(*options: str) -> Way:
    def way(source: Path, target: Path) -> None:
        wave = target.with_suffix(".wav")
        run("flac", "-d", "-s", source, "-o", wave)
        run("flac", "-s", "--no-md5-sum" if "-0" in options else "-V", *options, wave, "-o", target)

    return way


def stripped(source: Path, target: Path) -> None:
    shutil.copy(source, target)
    run("metaflac", "--remove-all", "--dont-use-padding", target)


def tagged(source: Path, target: Path) -> None:
    target.write_bytes(b"ID3\4\0\0\0\0\1\0" + bytes(128) + source.read_bytes())


WAYS: dict[str, Way] = {
    "flac-8": decode_and("-8"),
    "flac-0": decode_and("-0"),
    "blocks-of-1152": decode_and("-5", "--blocksize=1152"),
    "blocks-of-2048": decode_and("-5", "--blocksize=2048"),
    "flac-to-flac": lambda source, target: run("flac", "-s", source, "-o", target),
    "stripped": stripped,
    "id3": tagged,
    "sox": lambda source, target: run("sox", "-V1", "-D", source, target),
    "ffmpeg-pipe": lambda source, target: target.write_bytes(ffmpeg("-i", source, "-f", "flac", "-")),
    "flac-pipe": lambda source, target: target.write_bytes(
        run("flac", "-s", "-c", "-", stdin=source.read_bytes())
    ),
    "ogg": through(".ogg", "-c:a", "flac"),
}


def check(path: Path, pages: Bytes, profile: Profile) -> bool:
    source = open_pages(path, probe)
    try:
        assert (source.page_count, source.present) == (len(pages), len(pages))
        assert (source.profile.page_size, source.profile.block_size) == (
            profile.page_size,
            profile.block_size,
        )
        assert source.profile.name == profile.name
        assert np.array_equal(source.read(0, len(pages)), pages)
        assert np.array_equal(source.read(len(pages) - 2, 2), pages[-2:])
        assert np.array_equal(source.read(1, 3), pages[1:4])
        assert source.read(0, 0).shape == (0, profile.page_size)
        return source.verbatim
    finally:
        source.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=shape_id)
def test_pages_survive(profile: Profile, way: str, tmp_path: Path) -> None:
    pages = make_pages(profile, PAGES)
    write_file(tmp_path / "a.flac", profile, pages)
    target = tmp_path / "again.flac"
    WAYS[way](tmp_path / "a.flac", target)
    assert check(target, pages, profile) == (way in ("stripped", "id3"))


@pytest.mark.parametrize("codec", ["alac", "wavpack", "tta", "wav", "aiff", "caf"])
@pytest.mark.parametrize(
    "profile", [*PROFILES.values(), smallest(16, 2), smallest(16, 1), smallest(24, 1)], ids=shape_id
)
def test_pages_survive_other_lossless_formats(profile: Profile, codec: str, tmp_path: Path) -> None:
    pages = make_pages(profile, PAGES)
    write_file(tmp_path / "a.flac", profile, pages)
    pcm = f"pcm_s{profile.bits_per_sample}{'be' if codec == 'aiff' else 'le'}"
    way = {
        "alac": through_alac(profile.channels),
        "wavpack": through(".wv", "-c:a", "wavpack"),
        "tta": through(".tta", "-c:a", "tta"),
        "wav": through(".wav", "-c:a", pcm),
        "aiff": through(".aiff", "-c:a", pcm),
        "caf": through(".caf", "-c:a", pcm),
    }[codec]
    way(tmp_path / "a.flac", tmp_path / "again.flac")
    assert not check(tmp_path / "again.flac", pages, profile)


@pytest.mark.parametrize("profile", SHAPES, ids=shape_id)
def test_every_shape_survives_flac(profile: Profile, tmp_path: Path) -> None:
    pages = make_pages(profile, 7)
    write_file(tmp_path / "a.flac", profile, pages)
    run(
        "flac",
        "-s",
        "-1",
        "--blocksize=1152",
        "--no-preserve-modtime",
        tmp_path / "a.flac",
        "-o",
        tmp_path / "b.flac",
    )
    assert not check(tmp_path / "b.flac", pages, profile)


def test_sixteen_bits_stored_in_twenty_four(tmp_path: Path) -> None:
    profile = PROFILES["embedded"]
    pages = make_pages(profile, PAGES)
    write_file(tmp_path / "a.flac", profile, pages)
    ffmpeg("-i", tmp_path / "a.flac", "-sample_fmt", "s32", tmp_path / "b.flac")
    assert b"24" in run("metaflac", "--show-bps", tmp_path / "b.flac")
    assert not check(tmp_path / "b.flac", pages, profile)


def test_another_encoder_that_changes_nothing_is_verbatim(tmp_path: Path) -> None:
    profile = PROFILES["desktop"]
    pages = np.random.default_rng(0).integers(0, 256, (PAGES, profile.page_size), dtype=np.uint8)
    pages[:, :16] = make_pages(profile, PAGES)[:, :16]
    write_file(tmp_path / "a.flac", profile, pages)
    run("flac", "-s", "-5", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    assert check(tmp_path / "b.flac", pages, profile)


@pytest.mark.parametrize("way", ["flac-to-flac", "flac-pipe", "ffmpeg-pipe"])
@pytest.mark.parametrize("quiet", [PAGES - 1, PAGES - 2, 5, 0])
def test_one_page_made_smaller_moves_the_rest(quiet: int, way: str, tmp_path: Path) -> None:
    profile = PROFILES["desktop"]
    pages = np.random.default_rng(0).integers(0, 256, (PAGES, profile.page_size), dtype=np.uint8)
    pages[quiet, profile.channel_size + 100 :] = 0
    pages[:, :16] = make_pages(profile, PAGES)[:, :16]
    write_file(tmp_path / "a.flac", profile, pages)
    WAYS[way](tmp_path / "a.flac", tmp_path / "b.flac")
    assert not check(tmp_path / "b.flac", pages, profile)


def test_comments_and_hint_of_reencoded_files(tmp_path: Path) -> None:
    profile = PROFILES["mobile"]
    write_file(tmp_path / "a.flac", profile, make_pages(profile, PAGES), comments={"Title": "notes"})
    run("flac", "-s", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    ffmpeg("-i", tmp_path / "a.flac", tmp_path / "c.flac")
    for name, application in (("b.flac", b"hint"), ("c.flac", None)):
        source = open_pages(tmp_path / name, probe)
        assert (source.verbatim, source.application, source.comments["TITLE"]) == (
            False,
            application,
            "notes",
        )
        source.close()


def test_a_damaged_first_page_does_not_hide_the_others(tmp_path: Path) -> None:
    profile = PROFILES["mobile"]
    pages = make_pages(profile, PAGES)
    pages[:2, :100] = 7
    write_file(tmp_path / "a.flac", profile, pages)
    WAYS["blocks-of-1152"](tmp_path / "a.flac", tmp_path / "b.flac")
    assert check(tmp_path / "a.flac", pages, profile)
    assert not check(tmp_path / "b.flac", pages, profile)


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    profile = PROFILES["mobile"]
    pages = make_pages(profile, 40)
    write_file(tmp_path / "a.flac", profile, pages)
    run("flac", "-s", "-1", "--blocksize=1152", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    for name in ("a.flac", "b.flac"):
        source = open_pages(tmp_path / name, probe)
        with ThreadPoolExecutor(8) as pool:
            places = np.random.default_rng(1).integers(0, 38, 200).tolist()
            for first, got in zip(places, pool.map(source.read, places, [2] * len(places)), strict=True):
                assert np.array_equal(got, pages[first : first + 2])
        source.close()


def test_truncated(tmp_path: Path) -> None:
    profile = PROFILES["mobile"]
    pages = make_pages(profile, 20)
    write_file(tmp_path / "a.flac", profile, pages)
    run("flac", "-s", "-1", "--blocksize=1152", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    data = (tmp_path / "b.flac").read_bytes()
    path = tmp_path / "c.flac"
    for share in (0.2, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        source = open_pages(path, probe)
        assert not source.verbatim
        assert source.page_count == 20
        assert 20 * share - 4 < source.present < 20
        assert np.array_equal(source.read(0, source.present), pages[: source.present])
        got, ok = source.read_checked(0, 20)
        assert ok.tolist() == [n < source.present for n in range(20)]
        assert np.array_equal(got[ok], pages[ok])
        with pytest.raises(TruncatedFileError, match=r"c\.flac: pages? .*19: the file ends after"):
            source.read(0, 20)
        source.close()


def test_one_flipped_byte_costs_its_pages_only(tmp_path: Path) -> None:
    profile = PROFILES["mobile"]
    pages = make_pages(profile, 20)
    write_file(tmp_path / "a.flac", profile, pages)
    run("flac", "-s", "-1", "--blocksize=1152", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    data = bytearray((tmp_path / "b.flac").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "b.flac").write_bytes(data)
    source = open_pages(tmp_path / "b.flac", probe)
    assert source.present == 20
    for _ in range(2):
        got, ok = source.read_checked(0, 20)
        assert 16 <= ok.sum() < 20
        assert np.array_equal(got[ok], pages[ok])
    with pytest.raises(
        DamagedFileError, match=f"b.flac: page {int(np.argmin(ok))}: the FLAC frame is damaged"
    ):
        source.read(0, 20)
    source.close()


def test_a_damaged_first_frame_does_not_hide_the_others(tmp_path: Path) -> None:
    profile = PROFILES["mobile"]
    pages = make_pages(profile, 20)
    write_file(tmp_path / "a.flac", profile, pages)
    run("flac", "-s", "-1", "--blocksize=1152", "--padding=0", tmp_path / "a.flac", "-o", tmp_path / "b.flac")
    data = bytearray((tmp_path / "b.flac").read_bytes())
    data[1000:2000] = bytes(1000)
    (tmp_path / "b.flac").write_bytes(data)
    source = open_pages(tmp_path / "b.flac", probe)
    assert not source.verbatim
    got, ok = source.read_checked(0, 20)
    assert ok.tolist() == [n > 0 for n in range(20)]
    assert np.array_equal(got[1:], pages[1:])
    source.close()


def test_music_is_not_a_table(tmp_path: Path) -> None:
    path = tmp_path / "music.flac"
    for arguments in (("synth", "3", "sine", "440"), ("synth", "3", "whitenoise"), ("trim", "0", "0.0001")):
        run("sox", "-V1", "-n", "-r", "48000", "-c", "2", "-b", "24", path, *arguments)
        with pytest.raises(NotAudioMemoryError, match=r"music\.flac|no page header"):
            open_pages(path, probe)
    pcm = np.random.default_rng(0).bytes(6 * 4096 * 20)
    raw = (
        "--force-raw-format",
        "--endian=little",
        "--sign=signed",
        "--channels=2",
        "--bps=24",
        "--sample-rate=48000",
    )
    path.write_bytes(run("flac", "-s", "-c", *raw, "-", stdin=pcm))
    with pytest.raises(NotAudioMemoryError, match="no page header"):
        open_pages(path, probe)
    run("sox", "-V1", "-n", "-r", "8000", "-b", "8", path, "synth", "1", "sine", "440")
    with pytest.raises(NotAudioMemoryError, match="8 bits"):
        open_pages(path, probe)

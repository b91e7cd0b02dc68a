"""Tables that outlive what happens to sound (``robustness=broadcast``), and errors of those that do not."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from samples import arrow, content, create, rows, same

from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from sound.test_transcoding import RAW_24, ffmpeg, run

Process = Callable[[Path, Path], None]


def sox(*how: str) -> Process:
    return lambda made, heard: run("sox", made, heard, *how)


def through_ffmpeg(*how: str) -> Process:
    return lambda made, heard: ffmpeg("-i", made, *how, "-c:a", "flac", *RAW_24, heard)


def truncated(made: Path, heard: Path) -> None:
    run("sox", "-D", made, "-b", "16", heard)


def dithered_and_quiet(made: Path, heard: Path) -> None:
    run("sox", made, "-b", "16", heard, "vol", "-12dB", "dither")


def resampled_by_sox(made: Path, heard: Path) -> None:
    wav = heard.with_suffix(".wav")
    run("sox", made, wav, "rate", "44100")
    run("sox", wav, heard, "rate", str(soundfile.info(made).samplerate))


def resampled_by_ffmpeg(made: Path, heard: Path) -> None:
    wav = heard.with_suffix(".wav")
    ffmpeg("-i", made, "-ar", "44100", "-c:a", "pcm_s24le", wav)
    ffmpeg("-i", wav, "-ar", str(soundfile.info(made).samplerate), "-c:a", "flac", *RAW_24, heard)


def everything(made: Path, heard: Path) -> None:
    effects = "vol -0.5 rate 44100 rate 48000 pad 0.123 0.2 trim 0.7"
    run("sox", made, "-b", "16", heard, *effects.split())


def encoded(ending: str, *codec: str) -> Process:
    def process(made: Path, heard: Path) -> None:
        between = heard.with_suffix(ending)
        ffmpeg("-i", made, *codec, between)
        ffmpeg("-i", between, "-ar", str(soundfile.info(made).samplerate), "-c:a", "flac", *RAW_24, heard)

    return process


def mp3_320(made: Path, heard: Path) -> None:
    mp3 = heard.with_suffix(".mp3")
    ffmpeg("-i", made, "-b:a", "320k", mp3)
    ffmpeg("-i", mp3, "-c:a", "flac", *RAW_24, heard)


SURVIVED: dict[str, Process] = {
    "-12 dB": sox("vol", "-12dB"),
    "+3 dB": through_ffmpeg("-af", "volume=3dB:precision=double"),
    "truncated": truncated,
    "-12 dB, dithered": dithered_and_quiet,
    "inverted": sox("vol", "-1"),
    "48-44.1-48 sox": resampled_by_sox,
    "48-44.1-48 ffmpeg": resampled_by_ffmpeg,
    "a second cut off": sox("trim", "1", "-1"),
    "cut in front": sox("trim", "0.3701"),
    "silence added": sox("pad", "0.9", "1"),
    "everything": everything,
}


def made(
    path: Path,
    plan: str = "flat",
    profile: str = "desktop",
    protection: str = "none",
    robustness: str = "broadcast",
) -> list[dict[str, Any]]:
    """A broadcast at ``path``; its rows."""
    sound = {"modulation": "spectrum", "band_plan": plan, "robustness": robustness}
    with create(path, 300, profile=profile, protection=protection, **sound) as table:
        table.checkpoint()
        return content(table)


def survives(path: Path, expected: list[dict[str, Any]], process: Process) -> None:
    heard = path.with_name("heard.flac")
    process(path, heard)
    run("flac", "-t", "-s", heard)
    with Table(heard) as table:
        assert same(content(table), expected)
        # An encoder does worst where silence ends, which is where a catalog has cells that hold nothing.
        assert {problem.what.partition("; ")[2] for problem in problems(table)} <= {"nothing is stored there"}


@pytest.mark.parametrize("name", SURVIVED)
def test_flat(tmp_path: Path, name: str) -> None:
    expected = made(tmp_path / "t.flac")
    survives(tmp_path / "t.flac", expected, SURVIVED[name])


@pytest.mark.parametrize("name", ["truncated", "inverted", "48-44.1-48 ffmpeg", "everything"])
def test_mission(tmp_path: Path, name: str) -> None:
    expected = made(tmp_path / "t.flac", "mission")
    survives(tmp_path / "t.flac", expected, SURVIVED[name])


def test_mission_outlives_mp3(tmp_path: Path) -> None:
    """The codes of the bands correct what the encoder did.

    Verify says so, and repair makes the file what it was.
    """
    path, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    expected = made(path, "mission", protection="archive")
    mp3_320(path, heard)
    with Table(heard) as table:
        assert same(content(table), expected)
        assert {problem.repair for problem in problems(table)} <= {"page", "parity", None}
        table.repair()
    assert heard.read_bytes() == path.read_bytes()


def twice(made: Path, heard: Path) -> None:
    between = heard.with_name("between.flac")
    LOSSY["AAC 256"](made, between)
    LOSSY["Opus 256"](between, heard)


LOSSY: dict[str, Process] = {
    "MP3 320": mp3_320,
    "MP3 192": encoded(".mp3", "-b:a", "192k"),
    "AAC 256": encoded(".m4a", "-c:a", "aac", "-b:a", "256k"),
    "AAC 192": encoded(".m4a", "-c:a", "aac", "-b:a", "192k"),
    "Opus 256": encoded(".opus", "-c:a", "libopus", "-b:a", "256k"),
    "Opus 192": encoded(".opus", "-c:a", "libopus", "-b:a", "192k"),
    "Vorbis q5": encoded(".ogg", "-c:a", "libvorbis", "-q:a", "5"),
    "AAC 256, then Opus 256": twice,
    "as it is": through_ffmpeg(),
    "everything": everything,
}


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_encoders(tmp_path: Path, name: str) -> None:
    expected = made(tmp_path / "t.flac", "mission", robustness="lossy")
    survives(tmp_path / "t.flac", expected, LOSSY[name])


@pytest.mark.parametrize(
    ("profile", "name"), [("mobile", "Opus 256"), ("mobile", "AAC 256"), ("embedded", "as it is")]
)
def test_lossy_encoders_and_other_profiles(tmp_path: Path, profile: str, name: str) -> None:
    expected = made(tmp_path / "t.flac", "mission", profile, robustness="lossy")
    survives(tmp_path / "t.flac", expected, LOSSY[name])


def test_what_an_encoder_made_of_it_is_repaired_byte_for_byte(tmp_path: Path) -> None:
    path, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    expected = made(path, "mission", protection="standard", robustness="lossy")
    LOSSY["AAC 256"](path, heard)
    with Table(heard) as table:
        assert same(content(table), expected)
        assert table.repair()[0].changed
    assert heard.read_bytes() == path.read_bytes()
    with Table(heard) as table:
        table.append(arrow(rows(10, 0, 2001)))
    with Table(heard) as table:
        assert same(content(table), expected + rows(10, 0, 2001))


def test_a_page_of_several_frames_that_was_damaged(tmp_path: Path) -> None:
    """Frames that are lost are some blocks of a page; a file that was cut short has the pages that it has."""
    path = tmp_path / "t.flac"
    expected = made(path, "mission", protection="archive", robustness="lossy")
    whole = path.read_bytes()
    data = bytearray(whole)
    start = len(data) // 3
    data[start : start + 300_000] = bytes(300_000)
    path.write_bytes(data)
    with Table(path) as table:
        assert same(content(table), expected)
        table.repair()
    assert path.read_bytes() == whole
    path.write_bytes(whole[: len(whole) * 5 // 6])
    with Table(path) as table:
        assert same(content(table), expected)
        table.repair()
    assert path.read_bytes() == whole
    at = len(whole) // 2
    path.write_bytes(whole[:at] + b"put in" + whole[at:])
    with Table(path) as table:
        assert same(content(table), expected)
        table.repair()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("profile", ["server", "mobile", "embedded"])
def test_other_profiles(tmp_path: Path, profile: str) -> None:
    expected = made(tmp_path / "t.flac", profile=profile)
    survives(tmp_path / "t.flac", expected, sox("vol", "-0.4", "trim", "0.51"))


def test_a_repaired_broadcast_is_the_file_that_was_written(tmp_path: Path) -> None:
    path, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    expected = made(path, protection="standard")
    everything(path, heard)
    with Table(heard) as table:
        assert [repair.changed for repair in table.repair()] == [True]
        assert same(content(table), expected)
    assert heard.read_bytes() == path.read_bytes()


def test_a_row_can_be_added_to_a_broadcast_that_was_heard(tmp_path: Path) -> None:
    path, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    expected = made(path)
    sox("vol", "-3dB")(path, heard)
    with Table(heard) as table:
        table.append(arrow(rows(10, 0, 2001)))
    with Table(heard) as table:
        assert same(content(table), expected + rows(10, 0, 2001))


def test_it_is_no_louder_than_planned(tmp_path: Path) -> None:
    made(tmp_path / "t.flac")
    sound, _ = soundfile.read(tmp_path / "t.flac")
    assert abs(sound).max() <= 10 ** (-3.1 / 20)
    assert not sound[:48_000].any()
    assert not sound[-48_000:].any()
    assert 10 ** (-19 / 20) < sound[60_000:-60_000].std() < 10 ** (-17 / 20)


def test_noise_of_that_loudness_is_no_table(tmp_path: Path) -> None:
    import numpy as np

    noise = np.random.default_rng(1).normal(0, 0.12, (16_384 * 5, 2)).clip(-1, 1)
    soundfile.write(tmp_path / "music.flac", noise, 48_000, subtype="PCM_24")
    with pytest.raises(AudioMemError, match="holds sound"):
        Table(tmp_path / "music.flac")


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize(
    "process",
    [mp3_320, sox("vol", "-1dB"), resampled_by_sox, truncated],
    ids=["mp3", "gain", "rate", "16 bit"],
)
def test_pcm_that_was_changed_is_told(tmp_path: Path, process: Process, tagged: bool) -> None:
    """It survives what leaves samples as they are, and nothing else.

    The error says what it is, and what to do.
    """
    path, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    with create(path, 2000, profile="desktop") as table:
        table.checkpoint()
    process(path, heard)
    if not tagged:
        run("metaflac", "--remove-all-tags", heard)
    elif "audiomem-sql" not in metadata_of(heard):
        run("metaflac", "--set-tag=DESCRIPTION=audiomem-sql reads it", heard)
    before = heard.read_bytes()
    with pytest.raises(
        DamagedFileError, match=r"samples were changed.*none of its pages.*robustness=broadcast"
    ):
        Table(heard)
    assert heard.read_bytes() == before
    heard.unlink()


def test_what_is_left_of_a_table_that_fades_in_is_read(tmp_path: Path) -> None:
    path, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    with create(path, 2000, profile="embedded", protection="archive") as table:
        table.checkpoint()
        expected = content(table)
        seconds = table.snapshot.segments[0].file.page_count * 4096 / 22_050
    run("sox", "-D", path, heard, "fade", "t", str(seconds * 0.05))
    with Table(heard) as table:
        assert same(content(table), expected)
        table.repair()
    assert heard.read_bytes() == path.read_bytes()


def metadata_of(path: Path) -> str:
    return subprocess.run(["metaflac", "--list", path], capture_output=True, text=True, check=True).stdout


@pytest.mark.damages
@pytest.mark.parametrize("seed", range(3))
def test_a_broadcast_that_was_changed_and_then_damaged(tmp_path: Path, seed: int) -> None:
    """What another encoder made of it, with a tenth of the file overwritten: archive bears it."""
    path, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    expected = made(path, protection="archive")
    sox("vol", "-0.5", "trim", "0.31")(path, heard)
    data = bytearray(heard.read_bytes())
    rng = random.Random(seed)
    start = rng.randrange(len(data) // 4, len(data) * 3 // 4)
    data[start : start + len(data) // 10] = rng.randbytes(len(data) // 10)
    heard.write_bytes(data)
    with Table(heard) as table:
        assert same(content(table), expected)

"""Tables survive what people do with sound files, as long as no sample changes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import mutagen.flac
import pytest
import soundfile
from samples import MODULATIONS, arrow, content, create, rows, same

from audiomem_sql.audio import PROFILES
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def ffmpeg(*arguments: str | Path) -> None:
    run("ffmpeg", "-v", "error", "-xerror", "-y", *arguments)


#: ALAC knows four channels as a layout only, and another one than FLAC has.
FOUR = {"server": ["-af", "channelmap=0|1|2|3:4.0"]}
#: ffmpeg's FLAC encoder takes 16 bits unless it is told otherwise.
DEPTH: dict[str, list[str]] = {"embedded": []}
RAW_24 = ["-sample_fmt", "s32", "-bits_per_raw_sample", "24"]


def flac_again(path: Path, profile: str) -> None:
    wav = path.with_suffix(".wav")
    run("flac", "-s", "-f", "-d", path, "-o", wav)
    run("flac", "-s", "-f", "-8", wav, "-o", path)
    wav.unlink()


def through_alac(path: Path, profile: str) -> None:
    wav, alac = path.with_suffix(".wav"), path.with_suffix(".m4a")
    codec = "pcm_s16le" if profile == "embedded" else "pcm_s24le"
    ffmpeg("-i", path, "-c:a", codec, wav)
    ffmpeg(
        "-i",
        wav,
        *FOUR.get(profile, []),
        "-c:a",
        "alac",
        *([] if profile == "embedded" else ["-sample_fmt", "s32p"]),
        alac,
    )
    back = ["-af", "channelmap=0|1|2|3:quad"] if profile == "server" else []
    ffmpeg("-i", alac, *back, "-c:a", "flac", *DEPTH.get(profile, RAW_24), path)
    wav.unlink()
    alac.unlink()


def through_wavpack(path: Path, profile: str) -> None:
    packed = path.with_suffix(".wv")
    ffmpeg("-i", path, "-c:a", "wavpack", packed)
    ffmpeg("-i", packed, "-c:a", "flac", *DEPTH.get(profile, RAW_24), path)
    packed.unlink()


def without_metadata(path: Path, profile: str) -> None:
    run("metaflac", "--remove-all", "--dont-use-padding", path)


def tagged(path: Path, profile: str) -> None:
    run("metaflac", "--set-tag=ARTIST=someone", "--set-tag=LONG=" + "x" * 9000, path)


@pytest.mark.parametrize(
    ("profile", "modulation"),
    [
        *((profile, "pcm") for profile in ("server", "desktop", "mobile", "embedded")),
        ("server", "flat"),
        ("desktop", "mission"),
        ("mobile", "mission"),
        ("embedded", "flat"),
    ],
)
@pytest.mark.parametrize(
    "change",
    [flac_again, through_alac, through_wavpack, without_metadata, tagged],
    ids=lambda change: change.__name__,
)
def test_segments_of_a_file(
    tmp_path: Path, profile: str, modulation: str, change: Callable[[Path, str], None]
) -> None:
    path = tmp_path / "t.flac"
    with create(path, 400, profile=profile, **MODULATIONS[modulation]) as table:
        table.checkpoint()
        table.append(arrow(rows(30, 0, 1001)))
        table.checkpoint()
        table.begin()
        assert table.transaction is not None
        table.transaction.delete(5)
        table.commit()
        table.checkpoint()
        expected = content(table)
        versions = table.versions
    before = path.read_bytes()
    change(path, profile)
    assert path.read_bytes() != before
    with Table(path) as table:
        assert same(content(table), expected)
        assert table.versions == versions
        assert (table.get(1007) or {})["id"] == 1007
        assert list(problems(table)) == []
        table.append(arrow(rows(10, 0, 2001)))
        assert same(content(table), expected + rows(10, 0, 2001))


SOUNDS = MODULATIONS | {
    "ultrasonic": {"modulation": "spectrum", "band_plan": "ultrasonic"},
    "broadcast": {"modulation": "spectrum", "band_plan": "mission", "robustness": "broadcast"},
}


@pytest.mark.parametrize("modulation", SOUNDS)
@pytest.mark.parametrize("profile", ["server", "desktop", "mobile", "embedded"])
def test_what_the_tools_say(tmp_path: Path, profile: str, modulation: str) -> None:
    with create(tmp_path / "t.flac", 400, profile=profile, **SOUNDS[modulation]) as table:
        table.checkpoint()
        table.append(arrow(rows(30, 0, 1001)))
    with create(tmp_path / "small.flac", 30, profile=profile, **SOUNDS[modulation]):
        pass
    for path in (tmp_path / "t.flac", tmp_path / "small.flac"):
        run("flac", "-t", "-s", "-w", path)
        ffmpeg("-i", path, "-f", "null", "-")
        run("sox", path, "-n", "stat")
        run("metaflac", "--list", path)
        shape, read = PROFILES[profile], mutagen.flac.FLAC(path)
        assert read.info.pprint().startswith("FLAC")
        assert (read.info.sample_rate, read.info.bits_per_sample, read.info.channels) == (
            shape.sample_rate,
            shape.bits_per_sample,
            shape.channels,
        )
        assert read.seektable is not None
        sound, _ = soundfile.read(path)
        assert read.info.total_samples == len(sound)
        assert "audiomem-sql" in read["encoder"][0]
        if modulation != "pcm":
            assert abs(sound).max() <= 10 ** (-0.1 / 20)

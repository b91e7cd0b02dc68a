"""``audiomem spectrogram``, ``transcode`` and ``play``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import matplotlib.image
import pytest
from samples import content, create, same

from audiomem_sql.audio import PROFILES, resolve
from audiomem_sql.cli.main import run
from audiomem_sql.table.table import Table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    with create(
        tmp_path / "t.flac", 300, modulation="spectrum", band_plan="mission", protection="standard"
    ) as table:
        table.checkpoint()
    return tmp_path / "t.flac"


def test_a_picture_of_a_damaged_table(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(table.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60_000] = bytes(60_000)
    hurt = table.with_name("hurt.flac")
    hurt.write_bytes(data)
    for file in (table, hurt):
        assert run(["spectrogram", str(file), str(file.with_suffix(".png"))]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("t.flac")
    pictures = [matplotlib.image.imread(file.with_suffix(".png")) for file in (table, hurt)]
    assert all(picture.shape[0] > 600 and picture.shape[1] > 1000 for picture in pictures)
    damaged = [
        (abs(picture[..., :3] - (0xEE / 255, 0x33 / 255, 0x77 / 255)).max(axis=-1) < 0.01).sum()
        for picture in pictures
    ]
    assert damaged[0] == 0
    assert damaged[1] > 100
    hurt.unlink()  # not to be found whole when the test ends


def test_no_picture(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spectrogram", str(table), str(table.with_suffix(".txt"))]) == 2
    assert "no kind of picture" in capsys.readouterr().err
    assert run(["spectrogram", str(table), str(table.parent / "nowhere" / "x.png")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_transcode(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Table(table) as opened:
        expected = content(opened)
    assert run(["transcode", str(table), "--modulation", "pcm", "--profile", "mobile"]) == 0
    assert "profile=mobile, modulation=pcm, protection=standard" in capsys.readouterr().out
    with Table(table) as opened:
        assert same(content(opened), expected)
    assert run(["transcode", str(table)]) == 2
    assert "nothing is to be changed" in capsys.readouterr().err


def test_play_says_what_to_install(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(table.parent))
    assert run(["play", str(table)]) == 1
    assert "no player was found" in capsys.readouterr().err


def test_play_hands_a_player_a_quiet_part(
    table: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    player = tmp_path / "mpv"
    player.write_text(f'#!/bin/sh\n/bin/cp "$3" {tmp_path}/heard.wav\n')
    player.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["stream", str(table), str(tmp_path / "hls")]) == 0
    import soundfile

    for where in (table, tmp_path / "hls" / "index.m3u8"):
        assert run(["play", str(where), "--seconds", "0.5"]) == 0
        sound, rate = soundfile.read(tmp_path / "heard.wav")
        assert len(sound) == rate // 2
        assert 0 < abs(sound).max() < 0.11
        (tmp_path / "heard.wav").unlink()


def test_info_tells_the_profile_for_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "--hardware", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["profile"] == resolve("auto").name
    assert facts["profile"] not in facts["missing"]
    assert facts["memory"] > 0
    assert facts["rotating"] in (True, False, None)
    assert run(["info", str(tmp_path / "new.flac"), "--hardware"]) == 0
    shown = capsys.readouterr().out
    assert f"profile=auto is {facts['profile']}" in shown
    assert all(name in shown for name in PROFILES)
    assert run(["info"]) == 2
    assert "FILE is missing" in capsys.readouterr().err


def test_a_picture_as_cover_art(table: Path) -> None:
    assert run(["spectrogram", str(table), str(table.with_suffix(".png"))]) == 0
    with Table(table) as opened:
        expected = content(opened)
    subprocess.run(["metaflac", f"--import-picture-from={table.with_suffix('.png')}", table], check=True)
    subprocess.run(["flac", "-t", "-s", "-w", table], check=True)
    with Table(table) as opened:
        assert same(content(opened), expected)
        source = opened.snapshot.segments[0].file.source
        assert source.in_place
        assert "pip install audiomem-sql" in source.comments["COMMENT"]

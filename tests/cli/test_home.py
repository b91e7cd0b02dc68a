"""``audiomem`` alone, completion of shells, the manual page, and --json on every verb that prints facts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from entry_points import write_entry_points
from typer.main import get_command

import audiomem_sql as am
from audiomem_sql.cli.main import GROUPS, VERBS, app

from .conftest import Command, fails

#: Verbs that print no facts: they show something else, or run until they are stopped.
WITHOUT_FACTS = {"dump", "play", "shell", "serve", "mcp", "worker", "completion", "man", "token remove"}


@pytest.mark.damages
def test_the_tables_of_the_folder(audiomem: Command, tmp_path: Path) -> None:
    empty = audiomem()
    assert empty.code == 0
    assert "Tables in this folder" not in empty.out
    assert "audiomem ingest kb.flac ~/Documents" in empty.out
    audiomem("create", "my notes.flac", "id INTEGER PRIMARY KEY")
    audiomem("create", "s.shards", "id INTEGER PRIMARY KEY", "--shards", "2")
    (tmp_path / "song.flac").write_bytes(b"fLaC\x84\x00\x00\x04abcd")
    blocks = b"\x00\x00\x00\x22" + bytes(34) + b"\x06\x00\x00\x64" + bytes(100)  # and a picture
    (tmp_path / "noted.flac").write_bytes(b"fLaC" + blocks + b"\x02\x00\x00\x03abc\x82\x00\x00\x08AUDM1234")
    (tmp_path / "torn.flac").write_bytes(b"fLaC\x00")
    (tmp_path / "link.flac").symlink_to("nowhere")
    (tmp_path / "text.flac").write_text("no sound")
    shown = audiomem()
    assert shown.code == 0
    assert shown.err == ""
    assert "\n  my notes.flac  " in shown.out
    assert "\n  s.shards       " in shown.out
    assert "\n  noted.flac     " in shown.out
    assert "song" not in shown.out
    assert "torn" not in shown.out
    assert "audiomem search 'my notes.flac' " in shown.out
    assert all(len(line) <= 100 for line in shown.out.splitlines())


def test_json_everywhere() -> None:
    verbs = dict(get_command(app).commands)  # type: ignore[attr-defined]
    for name in GROUPS:
        verbs |= {f"{name} {verb}": command for verb, command in verbs.pop(name).commands.items()}
    options = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in verbs.items()
    }
    assert {name for name, has in options.items() if "--json" not in has} == WITHOUT_FACTS
    assert set(VERBS) <= set(options)


def test_what_json_says(audiomem: Command, tmp_path: Path) -> None:
    """Of each verb that changes something: JSON alone on stdout, with the version or what was made."""
    (tmp_path / "a.md").write_text("# A\n\nText.\n")

    def facts(*arguments: str) -> dict[str, object]:
        done = audiomem(*arguments, "--json")
        assert done.code == 0, done
        loaded = json.loads(done.out)
        assert isinstance(loaded, dict)
        return loaded

    columns = ["id INTEGER PRIMARY KEY", "body TEXT"]
    assert facts("create", "t.flac", *columns)["columns"] == columns
    audiomem("sql", "t.flac", "INSERT INTO t(body) VALUES ('x')")
    assert facts("tag", "t.flac", "one")["version"] == 2
    assert facts("alter", "t.flac", "add column n INTEGER")["version"] == 4
    assert facts("restore", "t.flac", "1")["rows"] == 0
    assert facts("vacuum", "t.flac", "--dry-run")["dry_run"] is True
    assert facts("vacuum", "t.flac")["newest"] == 5
    assert facts("transcode", "t.flac", "--protection", "standard")["options"]["protection"] == "standard"  # type: ignore[index]
    assert facts("backup", "t.flac", "c.flac")["version"] == 5
    assert facts("salvage", "t.flac", "-o", "s.flac")["saved"] == 0
    assert facts("scrub", "t.flac", "--rate", "1000")["problems"] == []
    assert facts("drop", "c.flac", "--yes")["deleted"] == [str(tmp_path / "c.flac")]
    assert str(facts("extension-path", "sqlite")["path"]).endswith("audiomem.so")
    assert facts("reindex", "t.flac", "--add", "words", "--column", "body")["words"] == ["body"]
    assert str(facts("token", "add", "tokens", "me")["token"]).startswith("am")
    assert json.loads(audiomem("token", "list", "tokens", "--json").out)[0]["name"] == "me"


def test_the_manual_page(audiomem: Command) -> None:
    page = audiomem("man").out
    assert page.isascii()
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", *("-P-c", "-P-b", "-P-o", "-P-u")],
        input=page,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    shown = done.stdout
    for verb in VERBS:
        assert f"audiomem {verb}" in shown
    assert "--no-meaning" in "".join(shown.split())


@pytest.fixture
def shell_environment(tmp_path: Path) -> dict[str, str]:
    """That of a shell in which the command is this tree's."""
    write_entry_points(tmp_path / "site")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "audiomem").write_text(f'#!/bin/sh\nexec {sys.executable} -m audiomem_sql "$@"\n')
    (programs / "audiomem").chmod(0o755)
    root = Path(am.__file__).parents[1]
    return {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(root)}


def test_bash_completes(shell_environment: dict[str, str], tmp_path: Path) -> None:
    script = """
eval "$(audiomem completion bash)"
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _audiomem_completion audiomem
    echo "${COMPREPLY[@]}"
}
ask audiomem rein
ask audiomem reindex t.flac --a
complete -p audiomem
"""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=shell_environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    verbs, options, how = done.stdout.splitlines()
    assert verbs == "reindex"
    assert options == "--add"
    assert "-o default" in how  # else files


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "audiomem rein"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "audiomem rein", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_what_other_shells_are_answered(
    shell: str, variables: dict[str, str], shell_environment: dict[str, str], audiomem: Command
) -> None:
    assert f"_AUDIOMEM_COMPLETE=complete_{shell}" in audiomem("completion", shell).out
    done = subprocess.run(
        ["audiomem"],
        capture_output=True,
        text=True,
        env={**shell_environment, **variables, "_AUDIOMEM_COMPLETE": f"complete_{shell}"},
    )
    assert "reindex" in done.stdout
    assert "ingest" not in done.stdout
    fails(audiomem("completion", "fsh"), 2, "Did you mean fish?")


def test_the_pages_of_a_terminal_are_shown_by_man(tmp_path: Path, shell_environment: dict[str, str]) -> None:
    import pexpect

    (tmp_path / "programs" / "man").write_text('#!/bin/sh\necho "man got $*"; head -c 3\n')
    (tmp_path / "programs" / "man").chmod(0o755)
    shown = pexpect.run("audiomem man", env={**os.environ, **shell_environment}).decode()
    assert "man got -l -" in shown

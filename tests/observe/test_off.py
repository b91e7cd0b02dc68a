"""What is not asked for is not imported, and costs nothing but a comparison; AUDIOMEM_OBSERVE begins it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql import observe
from audiomem_sql.errors import OptionError
from audiomem_sql.observe import hooks
from audiomem_sql.observe.starting import arguments_of
from audiomem_sql.table.table import Table

from .conftest import filled

WORK = """
import sys, json
import audiomem_sql as am
from audiomem_sql.table.table import Table
with Table.create(sys.argv[1], ["id INTEGER PRIMARY KEY"]) as table:
    table.append([{"id": 1}])
    table.to_arrow()
from audiomem_sql.observe import hooks, port
print(json.dumps({
    "modules": [name for name in sys.modules if name.split(".")[0] in ("prometheus_client", "opentelemetry")],
    "observer": hooks.observer is not None, "port": port(),
}))
"""


def run(path: Path, said: str | None) -> tuple[dict[str, Any], str]:
    environment = {name: value for name, value in os.environ.items() if name != "AUDIOMEM_OBSERVE"}
    if said is not None:
        environment["AUDIOMEM_OBSERVE"] = said
    done = subprocess.run(
        [sys.executable, "-c", WORK, path], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout), done.stderr


def test_nothing_is_imported(tmp_path: Path) -> None:
    found, said = run(tmp_path / "kb.flac", None)
    assert found == {"modules": [], "observer": False, "port": None}
    assert said == ""


def test_the_environment_begins_it(tmp_path: Path) -> None:
    found, _ = run(tmp_path / "kb.flac", "prometheus=0")
    assert found["observer"]
    assert found["port"]
    assert "prometheus_client" in found["modules"]
    assert "opentelemetry" not in found["modules"]


def test_what_cannot_begin_is_a_warning(tmp_path: Path) -> None:
    found, said = run(tmp_path / "kb.flac", "promteheus")
    assert not found["observer"]
    assert "'promteheus' is nothing to observe with. Name prometheus or otlp." in said


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("prometheus", {"prometheus": True}),
        ("prometheus=9464", {"prometheus": True, "port": 9464, "address": "127.0.0.1"}),
        ("prometheus=0.0.0.0:1", {"prometheus": True, "port": 1, "address": "0.0.0.0"}),
        ("prometheus=[::]:80", {"prometheus": True, "port": 80, "address": "::"}),
        (" otlp , prometheus", {"prometheus": True, "otlp": True}),
        ("otlp=http://h:4318", {"prometheus": False, "otlp": "http://h:4318"}),
    ],
)
def test_what_the_environment_says(said: str, arguments: dict[str, Any]) -> None:
    assert arguments_of(said) == arguments


@pytest.mark.parametrize("said", ["prometheus=x", "prometheus=70000", "statsd"])
def test_what_it_cannot_say(said: str) -> None:
    with pytest.raises(OptionError):
        arguments_of(said)


def test_a_port_that_is_taken() -> None:
    observe.start(port=0)
    port = observe.port()
    code = f"from audiomem_sql import observe; observe.start(port={port})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    observe.stop()
    assert done.returncode == 1
    assert f"metrics cannot be served at 127.0.0.1:{port}" in done.stderr


def test_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is logged has facts as attributes, and no contents."""
    caplog.set_level(logging.DEBUG, "audiomem_sql")
    path = filled(tmp_path / "kb.flac")
    with Table(path) as table:
        table.vacuum()
        with pytest.raises(Exception, match="UNIQUE"):
            table.append([{"id": 1, "a": "secret", "b": 0}])
    records = [vars(record) for record in caplog.records]
    told = [(each["event"], each["outcome"], each["levelname"]) for each in records]
    assert told == [
        ("open", "ok", "DEBUG"),
        ("committed", "ok", "DEBUG"),
        ("commit", "ok", "DEBUG"),
        ("open", "ok", "DEBUG"),
        ("vacuum", "ok", "INFO"),
        ("commit", "ConstraintError", "DEBUG"),
    ]
    assert {each["table"] for each in records} == {"kb"}
    assert next(each for each in records if each["event"] == "committed")["inserted"] == 300
    assert all(each["seconds"] > 0 for each in records if each["event"] == "vacuum")
    assert "secret" not in caplog.text


def test_it_is_quiet_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hooks.log(logging.ERROR, "damage", str(tmp_path / "kb.flac"), "lost", layer="parity", lost=3)
    assert capsys.readouterr() == ("", "")

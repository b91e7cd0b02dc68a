"""The rules for Prometheus and the dashboard for Grafana: judged by promtool, and by what we count."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql import observe

from .conftest import ROOT

RULES = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "audiomem.json"
_METRIC = re.compile(r"(?<![:\w])audio_memory_\w+")


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def queries() -> list[str]:
    """Every query of the dashboard."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def test_the_rules() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "tests.yml")


def test_every_alert_is_tested() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (RULES / "alerts.yml").read_text()))
    assert alerts == set(re.findall(r"alertname: (\w+)", (RULES / "tests.yml").read_text()))


@pytest.mark.usefixtures("observing")
def test_what_they_ask_for_is_counted() -> None:
    """Metrics in rules and dashboard are there; those of the dashboard that are rules are recorded."""
    rules = "".join((RULES / name).read_text() for name in ("recording.yml", "alerts.yml"))
    text = observe.metrics_text().decode()
    counted = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    for name in _METRIC.findall(rules + " ".join(queries())):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in counted, name
    recorded = set(re.findall(r"record: (\S+)", rules))
    for name in re.findall(r"\w*:?audio_memory\w*:\w+(?::\w+)*", " ".join(queries())):
        assert name in recorded, name


def test_the_metrics_are_well_named(tmp_path: Path) -> None:
    observe.start()
    text = observe.metrics_text()
    observe.stop()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    said = [line for line in done.stdout.decode().splitlines() if "_created" not in line]
    assert said == []
    assert done.returncode in (0, 3), done.stderr

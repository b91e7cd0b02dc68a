"""Frameworks that would report their use do not, in tests."""

from __future__ import annotations

import os

import pytest

for _name, _value in {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
}.items():
    os.environ[_name] = _value


def pytest_configure(config: pytest.Config) -> None:
    for mark in ("benchmark", "vcr"):
        config.addinivalue_line("markers", f"{mark}: of a plugin that LangChain's tests of other kinds need")

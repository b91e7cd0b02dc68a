"""Options among the arguments of CREATE VIRTUAL TABLE."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.columns.schema import (
    is_option,
    parse_options,
)
from audiomem_sql.errors import OptionError


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        ("profile=auto", ("profile", "auto")),
        ("Profile = auto", ("profile", "auto")),
        ("model='all-MiniLM-L6-v2'", ("model", "all-MiniLM-L6-v2")),
        ("model = 'it''s'", ("model", "it's")),
        ('model="a ""b"""', ("model", 'a "b"')),
        ("model=''", ("model", "")),
        ("model=-- why\n'x'", ("model", "x")),
        ("model/* = */=/* a */ x", ("model", "x")),
        ("path=s3://bucket/a--b", ("path", "s3://bucket/a--b")),
        ("k='a = b'", ("k", "a = b")),
    ],
)
def test_options(argument: str, option: tuple[str, str]) -> None:
    assert is_option(argument)
    assert parse_options([argument]) == dict([option])


@pytest.mark.parametrize(
    "argument",
    [
        "id INTEGER",
        "'notes.flac'",
        "'a=b'",
        '"a"=5',
        "a==b",
        "",
        "CHECK (a = 5)",
        "5=a",
        "a /* b */ c */ = 5",
    ],
)
def test_no_options(argument: str) -> None:
    assert not is_option(argument)
    with pytest.raises(OptionError):
        parse_options([argument])


@pytest.mark.parametrize("value", ["", " ", "'a", "a'", "'a'b'", "'a' 'b'", "a b", "'' '", "'", "\"a'"])
def test_option_values_that_cannot_be_read(value: str) -> None:
    with pytest.raises(OptionError, match="model"):
        parse_options([f"model={value}"])


def test_an_option_is_given_once() -> None:
    assert parse_options(["a=1", "b=2"]) == {"a": "1", "b": "2"}
    with pytest.raises(OptionError, match="profile is given twice"):
        parse_options(["profile=auto", "PROFILE='x'"])


@given(st.text())
def test_quoted_values_say_anything(value: str) -> None:
    doubled = value.replace("'", "''")
    assert parse_options([f"a='{doubled}'"]) == {"a": value}

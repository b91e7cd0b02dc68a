"""The errors: what they say, and what ``at`` adds to them on their way to the caller."""

from __future__ import annotations

import pickle
import re
import traceback
from pathlib import Path

import pytest

from audiomem_sql import dbapi, errors
from audiomem_sql.errors import AudioMemError, DamagedFileError, TruncatedFileError, did_you_mean
from audiomem_sql.vtab.codes import SchemaChangedError

CLASSES = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AudioMemError)
]


def fails() -> None:
    """A fault that knows its cause, but not where it is."""
    try:
        raise ValueError("odd length")
    except ValueError as cause:
        raise TruncatedFileError("the cell is short", remedy="Run repair.") from cause


def reads() -> None:
    """The caller, who knows where it is."""
    try:
        fails()
    except DamagedFileError as error:
        error.at(file="t.flac", place="page 3")
        raise


def test_message_names_file_place_fault_and_remedy() -> None:
    error = DamagedFileError("the cell is short", file=Path("t.flac"), place="page 3", remedy="Run repair.")
    assert str(error) == "t.flac: page 3: the cell is short. Run repair."
    assert (error.what, error.file, error.place) == ("the cell is short", "t.flac", "page 3")
    assert error.remedy == "Run repair."
    assert str(DamagedFileError("the cell is short")) == "the cell is short"


def test_at_fills_in_what_is_missing() -> None:
    error = DamagedFileError("the cell is short")
    assert error.at(file=Path("t.flac"), place="page 3", remedy="Run repair.") is error
    assert (error.file, error.place, error.remedy) == ("t.flac", "page 3", "Run repair.")
    assert str(error) == "t.flac: page 3: the cell is short. Run repair."


def test_at_keeps_what_is_set() -> None:
    error = DamagedFileError("the cell is short", place="cell 7", remedy="Run repair.")
    error.at(file="t.flac", place="page 3", remedy="Run salvage.")
    assert str(error) == "t.flac: cell 7: the cell is short. Run repair."


def test_at_without_a_file_is_completed_later() -> None:
    error = DamagedFileError("the cell is short").at(place="cell 7")
    assert str(error) == "cell 7: the cell is short"
    error.at(file="t.flac", place="page 3")
    assert str(error) == "t.flac: cell 7: the cell is short"


def test_an_error_that_names_its_file_is_complete() -> None:
    """A place is one inside the file: what a caller knows of another file does not belong to it."""
    error = DamagedFileError("two copies differ", file="t.flac")
    error.at(file="other.flac", place="catalog", remedy="Run repair.")
    assert str(error) == "t.flac: two copies differ"
    assert (error.file, error.place, error.remedy) == ("t.flac", None, None)


def test_at_twice_is_at_once() -> None:
    error = DamagedFileError("the cell is short").at(file="t.flac", place="page 3", remedy="Run repair.")
    message = str(error)
    assert str(error.at(file="t.flac", place="page 3", remedy="Run repair.")) == message


def test_at_keeps_kind_cause_and_traceback() -> None:
    with pytest.raises(DamagedFileError) as raised:
        reads()
    error = raised.value
    assert type(error) is TruncatedFileError
    assert str(error) == "t.flac: page 3: the cell is short. Run repair."
    assert isinstance(error.__cause__, ValueError)
    assert error.__context__ is error.__cause__
    assert "fails" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize(
    "kind", [*CLASSES, SchemaChangedError, dbapi.IntegrityError], ids=lambda kind: kind.__name__
)
def test_errors_travel_between_processes(kind: type[AudioMemError]) -> None:
    error = kind("the cell is short").at(file="t.flac", place="page 3", remedy="Run repair.")
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is kind
    assert str(other) == str(error)
    assert (other.what, other.file, other.place, other.remedy) == (
        error.what,
        "t.flac",
        "page 3",
        "Run repair.",
    )


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    drawn = [
        ((len(line) - len(line.lstrip(" │├└─"))) // 4, line.strip(" │├└─").split()[0])
        for line in errors.__doc__.splitlines()
        if re.match(r"    [ │├└]", line)
    ]
    below: list[str] = ["AudioMemError"]
    classes = {
        kind.__name__: kind
        for kind in (*CLASSES, SchemaChangedError, dbapi.Error, errors.DamageWarning, errors.UpkeepWarning)
    }
    for depth, name in drawn:
        above = below[depth - 2] if not name.endswith("Warning") else "UserWarning"
        assert classes[name].__bases__[0].__name__ == above, name
        below[depth - 1 :] = [name]
    assert {name for _, name in drawn} == set(classes) - {"AudioMemError"}


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("yaer", ("id", "year"), "Did you mean year? "),
        ("PROTECTON", ("profile", "protection"), "Did you mean protection? "),
        ("Year", ("YEAR",), "Did you mean YEAR? "),
        ("color", ("id", "year"), ""),
        ("x", (), ""),
        (17, ("vacuum",), ""),
    ],
)
def test_did_you_mean(name: object, known: tuple[str, ...], said: str) -> None:
    assert did_you_mean(name, known) == said

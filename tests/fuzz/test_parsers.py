"""A short run of the fuzzer of the parsers; ``make fuzz`` is the long one."""

from __future__ import annotations

import base64
import random
from itertools import islice

import pytest

from .fuzz_parsers import changed
from .parsers import PARSERS, run

#: What the long runs have found; each once broke its parser.
FOUND = [("block", "BAYAAAAABAY=")]


#: Those that make a file of an input.
SLOW = ("table", "labels", "table in two levels")


@pytest.mark.parametrize("name", PARSERS)
def test_any_input_gives_a_result_or_one_of_our_errors(name: str) -> None:
    parser = PARSERS[name]
    seeds = parser.seeds()
    assert all(run(parser, data) for data in seeds)
    for data in islice(changed(random.Random(name), seeds), 25 if name in SLOW else 150):
        run(parser, data)


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_is_refused_now(name: str, data: str) -> None:
    assert not run(PARSERS[name], base64.b64decode(data))

"""The option ``passages``: whether texts that are longer than the model's window are cut, and into what."""

from __future__ import annotations

from typing import Final

from audiomem_sql.errors import OptionError

ON: Final = "on"
OFF: Final = "off"
#: Nobody said: on for new columns if the model has a window; columns that are there stay as they are.
AUTO: Final = "auto"
#: The fewest and most tokens of a window that a user may choose.
LEAST_WINDOW: Final = 8
MOST_WINDOW: Final = 65_536
#: The model without a window, see ``options``.
_WITHOUT_WINDOW = "hashing"


def passages_option(value: object) -> str:
    """The option as it is stored: on, off, auto or a number. OptionError for anything else."""
    text = str(value).strip().lower()
    text = {"true": ON, "false": OFF}.get(text, text)
    if text in (ON, OFF, AUTO):
        return text
    if text.isascii() and text.isdecimal() and LEAST_WINDOW <= int(text[:9]) <= MOST_WINDOW:
        return str(int(text))
    raise OptionError(
        f"passages {value!r} is neither on nor off, nor a number of tokens",
        remedy="Write passages=on, passages=off, or the tokens of a window: "
        f"{LEAST_WINDOW} to {MOST_WINDOW}.",
    )


def cuts_texts(passages: str, model: str) -> bool:
    """Whether the texts of a new column are cut that are longer than the window of ``model``."""
    return model != _WITHOUT_WINDOW if passages == AUTO else passages != OFF

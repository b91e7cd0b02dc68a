"""The tokens of a text as a model sees them, so that a long one is cut where its window ends."""

from __future__ import annotations

from typing import Any

#: A window that is longer says that the model has none.
_NO_WINDOW = 1 << 20


def window_of_model(model: Any) -> int | None:
    """Tokens that a sentence-transformers model looks at, without those that begin and end a text.

    None if it does not tell.
    """
    length = getattr(model, "max_seq_length", None)
    if not isinstance(length, int) or not 0 < length < _NO_WINDOW:
        return None
    count = getattr(getattr(model, "tokenizer", None), "num_special_tokens_to_add", None)
    return max(1, length - (2 if count is None else int(count())))


def spans_of_model(model: Any, text: str) -> list[tuple[int, int]] | None:
    """Where each token of a text begins and ends, in characters; None if the tokenizer does not tell."""
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None or not getattr(tokenizer, "is_fast", False):
        return None
    encoded = tokenizer(
        text, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
    )
    return [(int(start), int(end)) for start, end in encoded["offset_mapping"]]

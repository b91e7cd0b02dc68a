"""Which models may be loaded: those that the user named in this process, and those that are built in.

What a file or a schema says of its model is data. A model is loaded only where the user named it, too: with
``allow_model``, in the environment variable ``AUDIOMEM_MODELS`` (names with commas between them), or by
creating a table with it. The names are compared as they are written, so a path is allowed only as that path.
"""

from __future__ import annotations

import os

from audiomem_sql.errors import OptionError, UnsupportedError
from audiomem_sql.search.models.addresses import checked_key, checked_url
from audiomem_sql.storage.segment import DEFAULT_MODEL, HASHING, OLLAMA, OPENAI, WORDLLAMA

ENVIRONMENT = "AUDIOMEM_MODELS"
#: What the name of a cross-encoder begins with that is a folder.
ONNX = "onnx:"
#: These need no permission: the first is code of this package, the second a table that an installed package
#: brings along, the others are not fetched without one.
BUILT_IN = (HASHING, WORDLLAMA, DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}")
#: The longest name that a message repeats.
SHOWN_CHARACTERS = 100
_named: set[str] = set()
#: Address and key of models that servers run, where the user gave them.
_places: dict[str, tuple[str | None, str | None]] = {}


def allow_model(model: str, *, url: str | None = None, key: str | None = None) -> None:
    """Allow that ``model`` is loaded in this process, and fetched where it is not in the cache.

    model: as the table has it, see ``audiomem info``. url, key: of the server that runs a model called
    ``openai:NAME`` or ``ollama:NAME``, instead of what the environment says; no file holds them. OptionError
    for what is no name, or no address.
    """
    if not isinstance(model, str) or not model:
        raise OptionError(f"{model!r:.40} is not the name of a model")
    if url is not None or key is not None:
        if not model.startswith((OPENAI, OLLAMA)):
            raise OptionError(f"the model {model:.100} is run by no server, and has no url or key")
        if url is not None:
            checked_url(url)
        if key is not None:
            checked_key(key)
        _places[model] = (url, key)
    _named.add(model)


def place_of(model: str) -> tuple[str | None, str | None]:
    """Address and key that the user gave for ``model``."""
    return _places.get(model, (None, None))


def is_named(model: str) -> bool:
    """Whether the user named ``model``, so that it may be fetched, too."""
    return model in _named or model in os.environ.get(ENVIRONMENT, "").split(",")


def check_allowed(model: str, file: str | None = None) -> None:
    """UnsupportedError for a model that is neither named by the user nor built in.

    file: the table that names it.
    """
    if model in BUILT_IN or is_named(model):
        return
    # A path is not repeated: it is a stranger's word for something on this machine.
    is_plain = (
        len(model) <= SHOWN_CHARACTERS
        and model.isprintable()
        and not model.startswith((".", "~", os.sep, ONNX))
    )
    shown = (
        f"the model {model}"
        if is_plain and "\\" not in model and not os.path.exists(model)
        else "a model by its path"
    )
    raise UnsupportedError(
        f"{shown} is asked for by what was read, and you did not allow it; nothing was loaded",
        file=file,
        remedy=f"If you trust it, name it yourself: in the environment variable {ENVIRONMENT}, or with "
        "audiomem_sql.allow_model(name); `audiomem info` shows it. All but embedding works without.",
    )

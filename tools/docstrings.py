"""Docstrings of this package as Markdown: an extension of griffe, which reads them for the site.

They are prose in a few lines of reStructuredText. Three things are written differently in Markdown:

- ``:func:`name``` and its like become code.
- A paragraph that begins with the name of a parameter or field and a colon becomes a list of them.
- A heading underlined with dashes becomes bold text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import griffe

_ROLE = re.compile(r":(?:py:)?(?:mod|meth|func|class|data|attr|exc):`+~?([\w.]+)`+")
_HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}\n(?!\n)", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


class HouseDocstrings(griffe.Extension):
    """Rewrites every docstring when its object is complete."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Parameters become a list."""
        self._rewrite(func, [parameter.name for parameter in func.parameters])

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Fields and parameters of ``__init__`` become a list."""
        names = [name for name, member in cls.members.items() if not member.is_alias and member.is_attribute]
        init = cls.members.get("__init__")
        if isinstance(init, griffe.Function):
            names += [parameter.name for parameter in init.parameters]
        self._rewrite(cls, names)

    def on_module(self, *, mod: griffe.Module, **_: Any) -> None:
        """Roles become code."""
        self._rewrite(mod, [])

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Roles become code."""
        self._rewrite(attr, [])

    def _rewrite(self, item: griffe.Object, names: Iterable[str]) -> None:
        if item.docstring is not None:
            item.docstring.value = as_markdown(item.docstring.value, names)


def as_markdown(docstring: str, names: Iterable[str] = ()) -> str:
    r"""``docstring`` in Markdown; ``names`` are those of parameters and fields.

    >>> as_markdown("Open it.\n\npath, mode: as in :func:`open`. level: 1.", ["path", "mode", "level"])
    'Open it.\n\n- **path, mode**: as in `open`.\n- **level**: 1.'
    """
    text = _ROLE.sub(lambda role: f"`{role[1]}`", docstring)
    text = _HEADING.sub(lambda heading: f"**{heading[1]}**\n\n", text)
    names = sorted({name.lstrip("*") for name in names} - {"self", "cls"}, key=len, reverse=True)
    if not names:
        return text
    name = "|".join(map(re.escape, names))
    entry = re.compile(rf"(?:^|(?<=[.;)] )|(?<=\n))((?:{name})(?:(?:,| and) (?:{name}))*): ")
    paragraphs = [_listed(paragraph, entry) for paragraph in _PARAGRAPH.split(text)]
    return "\n\n".join(paragraphs)


def _listed(paragraph: str, entry: re.Pattern[str]) -> str:
    """A paragraph of entries as a list; any other as it is."""
    if not entry.match(paragraph):
        return paragraph
    pieces = entry.split(paragraph)[1:]
    pairs = zip(pieces[::2], pieces[1::2], strict=True)
    return "\n".join(f"- **{names}**: {' '.join(text.split())}" for names, text in pairs)

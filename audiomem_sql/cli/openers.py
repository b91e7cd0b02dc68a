"""Which command opens a place: an editor at a line, a viewer at a page, a player at a second, or the desktop.

A source is what a table says, and a table may be a stranger's: nothing goes through a shell, a path is
absolute, so that it is no option, and of URLs only those of the web are opened.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable

from audiomem_sql.cli.places import Place
from audiomem_sql.errors import OptionError, StorageError, UnsupportedError

#: Editors that want a line otherwise than ``+12 FILE``: by the name of the program.
_EDITORS: dict[str, Callable[[str, int], list[str]]] = {
    **dict.fromkeys(
        ("code", "code-insiders", "codium", "cursor", "windsurf"),
        lambda path, line: ["--goto", f"{path}:{line}"],
    ),
    **dict.fromkeys(("subl", "hx", "helix", "zed", "lapce"), lambda path, line: [f"{path}:{line}"]),
    "kate": lambda path, line: ["--line", str(line), path],
    "idea": lambda path, line: ["--line", str(line), path],
    "mate": lambda path, line: ["--line", str(line), path],
}
#: Viewers of PDF, and how each is told the page.
_VIEWERS: dict[str, Callable[[str, int], list[str]]] = {
    "zathura": lambda path, page: ["--page", str(page), path],
    "okular": lambda path, page: ["--page", str(page), path],
    "evince": lambda path, page: [f"--page-index={page}", path],
    "atril": lambda path, page: [f"--page-index={page}", path],
    "xreader": lambda path, page: [f"--page-index={page}", path],
    "mupdf": lambda path, page: [path, str(page)],
    "xpdf": lambda path, page: [path, f":{page}"],
}
#: Players of sound and video, and how each is told the second.
_PLAYERS: dict[str, Callable[[str, str], list[str]]] = {
    "mpv": lambda path, second: [f"--start={second}", path],
    "vlc": lambda path, second: [f"--start-time={second}", path],
    "ffplay": lambda path, second: ["-ss", second, path],
}
#: What in a place stands before the place in something inside the source.
_INSIDE = {"member", "attachment", "message"}
#: What opens anything, by platform.
_DESKTOP = {"darwin": ["open"], "win32": ["rundll32", "url.dll,FileProtocolHandler"], "cygwin": ["cygstart"]}


def command_for(place: Place, file: str) -> list[str]:
    """The command that opens ``place``, its program first. file: the table that says so.

    StorageError for a file that is not there, UnsupportedError for a URL that is not of the web, or if
    nothing opens it.
    """
    path = place.path(file)
    if path is None:
        if not place.source.lower().startswith(("http://", "https://")):
            raise UnsupportedError(
                f"{place.source:.200} is not opened: it is no address of the web",
                remedy="Read it with a program that knows it.",
            )
        return [*_desktop(), place.link(file)]
    if not os.path.exists(path):
        raise StorageError(
            "the source is not there (any more)",
            file=path,
            remedy="Run the command in the folder where the source was ingested.",
        )
    if _INSIDE & place.parts.keys():
        return [*_desktop(), path]  # the place is one of something inside the file
    page, line = place.number("page"), place.number("line")
    second = re.match(r"\d{1,9}(\.\d{1,6})?", place.parts.get("t", ""))
    if page is not None and path.lower().endswith(".pdf"):
        viewer = next((name for name in _VIEWERS if shutil.which(name)), None)
        if viewer is not None:
            return [viewer, *_VIEWERS[viewer](path, page)]
    elif second is not None and not _is_text(path):
        player = next((name for name in _PLAYERS if shutil.which(name)), None)
        if player is not None:
            return [player, *_PLAYERS[player](path, second[0])]
    elif _is_text(path) and (editor := _editor()):
        if line is None:
            return [*editor, path]
        name = os.path.basename(editor[0]).removesuffix(".exe")
        return [*editor, *_EDITORS.get(name, _at_line)(path, line)]
    return [*_desktop(), path]


def _at_line(path: str, line: int) -> list[str]:
    return [f"+{line}", path]


def _editor() -> list[str]:
    """The editor of the environment, with its arguments; empty without. OptionError for open quotes."""
    name = "VISUAL" if os.environ.get("VISUAL") else "EDITOR"
    said = os.environ.get(name, "")
    try:
        return shlex.split(said)
    except ValueError as error:
        raise OptionError(
            f"{name} is no command: {said!r:.80} ({error})", remedy=f"Correct the quotes in {name}."
        ) from None


def _is_text(path: str) -> bool:
    """Whether a file looks like text: UTF-8 without NULs at its start."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(4096)
    except OSError:
        return False
    if b"\0" in start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4
    return True


def _desktop() -> list[str]:
    if sys.platform in _DESKTOP:
        return list(_DESKTOP[sys.platform])
    for name in ("xdg-open", "wslview", "gio"):
        if shutil.which(name):
            return [name, "open"] if name == "gio" else [name]
    raise UnsupportedError(
        "no program was found that opens files here",
        remedy="Set EDITOR for texts, install xdg-utils, or see the place with --print.",
    )

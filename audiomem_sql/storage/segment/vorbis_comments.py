"""The Vorbis comments of a table's file: what they tell a listener, and which of those by others stay.

``ENCODER``, ``DESCRIPTION`` and ``COMMENT`` are ours, and true of the file as it was written. ``TITLE`` is
the name that the file had when it was made, until somebody changes it. All else, and every picture, is
carried over when a file takes another's place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from audiomem_sql._version import __version__
from audiomem_sql.audio import Tags, read_tags
from audiomem_sql.machine.file_names import readable_name

#: Characters; a longer title is left where it is. The catalog of a protected file holds the title, too.
MAX_TITLE = 1000
COMMENT = (
    "It sounds like noise. To read it: pip install audiomem-sql, "
    "then audiomem info and the name of this file."
)
#: Comments that say how a file was made. A transcoder leaves them, although they are true no more. The last
#: three come from MP4.
_OF_THE_ENCODER = {"ENCODER", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS"}
#: It says nothing that an appended segment would make wrong, such as a number of rows.
_DESCRIPTION = "A table kept as audio; audiomem-sql reads it."
#: What was written before, too.
_DESCRIBED = re.compile(r"A table (of \d+ rows )?kept as audio; audiomem-sql reads it\.")


def own_comments(path: str, before: Tags) -> dict[str, str]:
    """Our comments for a file at ``path``.

    before: the comments of the file whose place it takes.
    """
    titles = [text for name, text in before.comments if name.upper() == "TITLE" and len(text) <= MAX_TITLE]
    return {
        "TITLE": titles[0] if titles else readable_name(os.path.splitext(os.path.basename(path))[0]),
        "ENCODER": f"audiomem-sql {__version__}",
        "DESCRIPTION": _DESCRIPTION,
        "COMMENT": COMMENT,
    }


def carried_comments(before: Tags, ours: Mapping[str, str]) -> Tags:
    """What of the tags of a file is not ours; ``ours``: the comments of the file that takes its place.

    Our texts are ours under any name: ffmpeg makes a DESCRIPTION of a COMMENT.
    """
    texts = {COMMENT, ours.get("COMMENT"), ours.get("DESCRIPTION")}
    return Tags(
        tuple(
            (name, text)
            for name, text in before.comments
            if name.upper() not in _OF_THE_ENCODER
            and (name.upper(), text) not in ours.items()
            and text not in texts
            and not _DESCRIBED.fullmatch(text)
        ),
        before.pictures,
    )


def repaired_of_file(path: str, segments: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], Tags]:
    """:func:`repaired_comments` of a file of several segments; what the catalog of each says, oldest first.

    What is appended leaves the comments as they are, so the segment counts of whose comments most are there.
    """
    there = {(name.upper(), text) for name, text in read_tags(path).comments}
    return repaired_comments(
        path, max(reversed(segments), key=lambda ours: sum(pair in there for pair in ours.items()))
    )


def repaired_comments(path: str, ours: Mapping[str, str]) -> tuple[dict[str, str], Tags]:
    """Our comments, and those of others, of the file at ``path`` as they were before it was damaged.

    ours: what the catalog of the file says they were; without protection it says nothing, and all stay.
    Nothing tells damage to a comment from what an editor does, but its length: one that is as long as one of
    ours that is not there is taken for that.
    """
    tags = read_tags(path)
    if not ours:
        return {}, tags
    entries = [(name.upper(), text) for name, text in tags.comments]
    missing = [len(f"{name}={text}".encode()) for name, text in ours.items() if (name, text) not in entries]
    kept = []
    for name, text in tags.comments:
        length = len(f"{name}={text}".encode())
        if (name.upper(), text) not in ours.items() and length in missing:
            missing.remove(length)
        else:
            kept.append((name, text))
    others = carried_comments(Tags(tuple(kept), tags.pictures), ours)
    if others.has("TITLE"):
        ours = {name: text for name, text in ours.items() if name != "TITLE"}
    return dict(ours), others

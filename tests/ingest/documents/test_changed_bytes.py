"""Files of every kind with bytes changed, cut and doubled at random: rows, or an error of this package."""

from __future__ import annotations

import gzip
import json
import lzma
import random
import subprocess
from pathlib import Path

from PIL import Image

from audiomem_sql.errors import AudioMemError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.registry import readers
from audiomem_sql.ingest.readers import _storable

from .test_archives import MEMBERS, tarred, zipped
from .test_chats import NETSCAPE, SLACK, chatgpt
from .test_mail import message
from .test_media import XMP

ROUNDS = 60


def samples(folder: Path) -> dict[str, bytes]:
    """A file of each kind."""
    mail = message()
    mail.add_alternative("<p>Rich", subtype="html")
    mail.add_attachment(b"# Plan", maintype="text", subtype="markdown", filename="plän.md")
    zipped(folder / "a.zip", MEMBERS)
    exif = Image.Exif()
    exif[0x010E] = "A tower"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    Image.new("RGB", (8, 8)).save(folder / "a.jpg", exif=exif, xmp=XMP.encode())
    Image.new("RGB", (8, 8)).save(folder / "a.png", exif=exif)
    tone = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.05", "-metadata", "title=A"]
    outputs = [str(folder / name) for name in ("a.mp3", "a.flac", "a.ogg", "a.m4a", "a.wav")]
    subprocess.run(
        [*tone, *(part for name in outputs for part in ("-metadata", "title=A", name))], check=True
    )
    texts = {
        "a.srt": "1\n00:00:01,500 --> 00:00:03,000\n<i>Hello</i> there.\n\n" * 3,
        "a.ass": "[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,One\\Ntwo\n",
        "a.lrc": "[ti:Song]\n[00:01.50]One\n[00:03.00]Two\n",
        "slack.json": json.dumps(SLACK),
        "conversations.json": json.dumps(chatgpt()),
        "chat.txt": "[31.12.23, 21:05:12] Ann: Hi\n[01.01.24, 00:01:00] Bob: Now\n" * 3,
        "bookmarks.html": NETSCAPE,
        "Bookmarks": json.dumps(
            {"roots": {"bookmark_bar": {"name": "x", "children": [{"url": "https://a.org"}]}}}
        ),
    }
    return {
        "email": bytes(mail),
        "mailbox": b"From a@x Mon Jan 01 00:00:00 2024\n" + bytes(message()) + b"\n\n",
        "zip": (folder / "a.zip").read_bytes(),
        "tar": tarred(MEMBERS),
        "compressed": lzma.compress(tarred(MEMBERS)),
        "whatsapp": texts["chat.txt"].encode(),
        "slack": texts["slack.json"].encode(),
        "assistant": texts["conversations.json"].encode(),
        "bookmarks": texts["bookmarks.html"].encode(),
        "browser": texts["Bookmarks"].encode(),
        "subtitles": texts["a.srt"].encode(),
        "substation": texts["a.ass"].encode(),
        "lyrics": texts["a.lrc"].encode(),
        "image": (folder / "a.jpg").read_bytes(),
        "image png": (folder / "a.png").read_bytes(),
        **{f"audio {name[-3:]}": Path(name).read_bytes() for name in outputs},
        "tar packed": gzip.compress(tarred(MEMBERS)),
    }


def changed(random_: random.Random, data: bytes) -> bytes:
    """The same with some bytes flipped, cut out, doubled, or an end missing."""
    made = bytearray(data)
    for _ in range(random_.randint(1, 8)):
        at = random_.randrange(len(made) or 1)
        how = random_.random()
        if how < 0.6 and made:
            made[min(at, len(made) - 1)] ^= 1 << random_.randrange(8)
        elif how < 0.8:
            length = random_.randint(1, 40)
            made[at : at + length] = made[at : at + length] * 2
        elif how < 0.95:
            del made[at : at + random_.randint(1, 40)]
        else:
            del made[at:]
    return bytes(made)


def test_changed_files_give_rows_or_errors_of_ours(tmp_path: Path) -> None:
    made = samples(tmp_path)
    kinds = {name.partition(" ")[0] for name in made}
    ours = {reader.kind for reader in readers().values() if reader.read.startswith("audiomem_sql.")}
    assert kinds <= ours
    random_ = random.Random(21)
    for name, data in made.items():
        reader = readers()[name.partition(" ")[0]]
        assert read_all(reader.kind, data), name
        for _ in range(ROUNDS):
            read_all(reader.kind, changed(random_, data))


def read_all(kind: str, data: bytes) -> int:
    """How many documents there are; errors of this package count as none."""
    count = 0
    content = Content(f"folder/a.{kind}", data=data)
    try:
        for document in readers()[kind].documents(content):
            count += 1
            stored = _storable(document)
            for section in stored.sections:
                text = f"{stored.title}{section.heading}{section.text}{stored.place}{section.place}"
                assert "\0" not in text
                text.encode()
    except AudioMemError as error:
        if error.file is None:
            raise
    return count

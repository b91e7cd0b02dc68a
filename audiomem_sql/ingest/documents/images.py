"""What images say of themselves to documents, through Pillow: title, caption, keywords, place and time.

EXIF, IPTC and XMP, and the texts of PNG. Pixels are not decoded, unless ``AUDIOMEM_OCR`` names languages of
tesseract, such as ``eng`` or ``eng+deu``: then the words in an image are read, too.
"""

from __future__ import annotations

import io
import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import DamagedFileError, LimitError, MissingExtraError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section

if TYPE_CHECKING:
    from PIL.Image import Image

#: The environment variable with the languages of words in images; without it they are not read.
OCR = "AUDIOMEM_OCR"
OCR_SECONDS = 60
_PIXELS = 50_000_000

_DESCRIPTION, _ARTIST, _DATE, _COPYRIGHT, _EXIF, _GPS = 0x010E, 0x013B, 0x0132, 0x8298, 0x8769, 0x8825
_ORIGINAL_DATE, _USER_COMMENT = 0x9003, 0x9286
_XP = {0x9C9B: "Title", 0x9C9C: "Comment", 0x9C9D: "Artist", 0x9C9E: "Keywords", 0x9C9F: "Subject"}
_IPTC = {5: "Title", 25: "Keywords", 80: "Artist", 90: "City", 95: "Region", 101: "Country", 105: "Headline"}
_IPTC_CAPTION = 120
_XMP_FIELDS = {"title": "Title", "description": "Description", "subject": "Keywords", "creator": "Artist"}
_PNG_FIELDS = ("Title", "Author", "Description", "Comment", "Software", "parameters", "prompt")
_ORDER = ("Title", "Headline", "Description", "Comment", "Subject", "Keywords", "Artist", "Copyright")


def read(content: Content) -> Iterator[Document]:
    """The document that an image makes; none if it says nothing of itself."""
    try:
        import PIL.Image
    except ImportError:
        raise MissingExtraError(
            "captions of images are read by Pillow, which is not installed",
            file=content.name,
            remedy="Run: pip install 'audiomem-sql[media]'",
        ) from None
    with content.open() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd EXIF, and of sizes: no pixel is decoded here
        try:
            with PIL.Image.open(stream) as image:
                facts, taken_at = _facts(image)
                size = image.size
        except PIL.Image.DecompressionBombError:
            raise LimitError("the image has too many pixels", file=content.name) from None
        except PIL.UnidentifiedImageError:  # whose message names no more than a stream
            raise DamagedFileError(
                "the image cannot be read (it is damaged, or of a format that Pillow does not know)",
                file=content.name,
                remedy="Open it with a viewer, and save it again.",
            ) from None
        except (OSError, SyntaxError, ValueError) as error:
            raise DamagedFileError(
                f"the image cannot be read ({' '.join(str(error).split())[:100]})",
                file=content.name,
                remedy="Open it with a viewer, and save it again.",
            ) from error
    lines = [f"{name}: {', '.join(values)}" for name, values in facts.items() if values]
    sections = [Section(None, "\n".join(lines))] if lines else []
    words = _words(content, size)
    if words:
        sections.append(Section("Text in the image", words))
    if sections:
        yield Document(next(iter(facts.get("Title") or ()), None), sections, None, taken_at)


def _facts(image: Image) -> tuple[dict[str, list[str]], datetime | None]:
    """What the image says, by name, each text once; and when it was taken."""
    facts: dict[str, list[str]] = {name: [] for name in _ORDER}

    def add(name: str, value: object) -> None:
        text = " ".join(_text(value).split()) if name != "Comment" else _text(value)
        known = facts.setdefault(name, [])
        if text and text not in known:
            known.append(text)

    exif = image.getexif()
    details = exif.get_ifd(_EXIF)
    for tag, name in ((_DESCRIPTION, "Description"), (_ARTIST, "Artist"), (_COPYRIGHT, "Copyright")):
        add(name, exif.get(tag))
    for tag, name in _XP.items():
        value = exif.get(tag)
        if isinstance(value, bytes | tuple):
            add(name, bytes(value).decode("utf-16-le", "replace"))
    add("Comment", _comment(details.get(_USER_COMMENT)))
    for name, values in _from_iptc(image):
        add(name, values)
    for name, value in _from_xmp(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")):
        add(name, value)
    for name in _PNG_FIELDS if image.format == "PNG" else ():
        add("Artist" if name == "Author" else name, image.info.get(name))
    if image.format in ("JPEG", "GIF"):
        add("Comment", image.info.get("comment"))
    place = _place(exif.get_ifd(_GPS))
    if place:
        add("Place", place)
    taken_at = _time(details.get(_ORIGINAL_DATE) or exif.get(_DATE))
    if taken_at is not None and any(facts.values()):
        add("Taken", taken_at.isoformat(" "))
    return facts, taken_at


def _text(value: object) -> str:
    if isinstance(value, bytes):
        data = value
        try:
            value = data.decode("utf-8")
        except UnicodeDecodeError:
            value = data.decode("cp1252", "replace")
    if isinstance(value, str) and not value.isascii():
        with suppress(UnicodeError):  # Pillow takes the bytes of EXIF for Latin-1; programs write UTF-8
            value = value.encode("latin-1").decode("utf-8")
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


def _comment(value: object) -> str:
    """EXIF's UserComment: eight bytes name the character set."""
    if not isinstance(value, bytes):
        return _text(value)
    if value.startswith(b"UNICODE\0"):
        codec = "utf-16-be" if value[8:9] == b"\0" else "utf-16-le"
        return value[8:].decode(codec, "replace")
    return _text(value[8:] if value[:8] in (b"ASCII\0\0\0", b"\0" * 8) else value)


def _from_iptc(image: Image) -> Iterator[tuple[str, object]]:
    from PIL import IptcImagePlugin

    found = IptcImagePlugin.getiptcinfo(image) or {}
    for (record, dataset), value in found.items():
        name = "Description" if dataset == _IPTC_CAPTION else _IPTC.get(dataset)
        if record == 2 and name is not None:
            for each in value if isinstance(value, list) else [value]:
                yield name, each


def _from_xmp(packet: object) -> Iterator[tuple[str, str]]:
    """The texts of the Dublin Core in an XMP packet."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if isinstance(packet, str):
        packet = packet.encode()
    if not isinstance(packet, bytes):
        return
    try:
        root = fromstring(packet.strip(b"\0 \r\n\t"))
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return
    for element in root.iter():
        space, _, local = str(element.tag).rpartition("}")
        if space.endswith("/dc/elements/1.1/") and local in _XMP_FIELDS:
            for text in element.itertext():
                if text.strip():
                    yield _XMP_FIELDS[local], text


def _place(gps: dict[int, Any]) -> str | None:
    """Latitude and longitude in degrees, as ``48.85837 N, 2.29448 E``."""
    try:
        latitude, longitude = (
            sum(float(part) / 60**power for power, part in enumerate(gps[tag])) for tag in (2, 4)
        )
        north, east = str(gps.get(1, "N"))[:1], str(gps.get(3, "E"))[:1]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (0 <= latitude <= 90 and 0 <= longitude <= 180) or not (latitude or longitude):
        return None
    return f"{latitude:.5f} {north}, {longitude:.5f} {east}"


def _time(value: object) -> datetime | None:
    try:
        return datetime.strptime(_text(value)[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _words(content: Content, size: tuple[int, int]) -> str:
    """The words in the image as tesseract reads them; nothing unless the environment asks for it."""
    languages = os.environ.get(OCR, "")
    if not languages or size[0] * size[1] > _PIXELS:
        return ""
    import PIL.Image

    page = io.BytesIO()
    with content.open() as stream, PIL.Image.open(stream) as image:
        image.convert("L").save(page, "PNG")
    try:
        done = subprocess.run(
            ["tesseract", "stdin", "stdout", "-l", languages],
            input=page.getvalue(),
            capture_output=True,
            timeout=OCR_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise MissingExtraError(
            f"{OCR} asks for the words in images, and there is no tesseract",
            file=content.name,
            remedy=f"Install tesseract-ocr, or unset {OCR}.",
        ) from None
    except subprocess.TimeoutExpired:
        content.report(LimitError(f"tesseract takes more than {OCR_SECONDS} s", file=content.name))
        return ""
    if done.returncode:
        fault = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        content.report(DamagedFileError(f"tesseract cannot read it ({fault})", file=content.name))
        return ""
    return done.stdout.decode("utf-8", "replace").replace("\f", "\n").strip()

"""The kinds of documents that this package reads."""

from __future__ import annotations

from audiomem_sql.ingest.documents.languages import LANGUAGES, Language
from audiomem_sql.ingest.documents.plain import PLAIN_NAMES, PLAIN_SUFFIXES
from audiomem_sql.ingest.documents.reader import Reader

_HERE = "audiomem_sql.ingest.documents"
_PROGRAMS = ("/bin/", "/usr/bin/", "/usr/local/bin/", "/usr/bin/env ", " /bin/", " /usr/bin/env ")
_AUDIO = (
    *(".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac"),
    *(".wav", ".aif", ".aiff", ".wma", ".ape", ".wv", ".mpc"),
)
_IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif")
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"GIF8")
_COMPRESSED = (".tgz", ".xz", ".txz", ".bz2", ".tbz", ".tbz2", ".zst", ".tzst")
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
#: Suffixes under which office documents are found that have another one: no suffix, and those of text.
_LYING = ("", ".txt", ".text", ".log", ".md", ".html", ".htm", ".csv", ".zip")
_MANUAL_STARTS = (b".TH ", b'.\\"', b"'\\\"", b".Dd ")


def _of_language(language: Language) -> Reader:
    module = "python_code" if language.name == "python" else "source_code"
    return Reader(
        language.name,
        language.suffixes,
        f"{_HERE}.{module}:read",
        starts=tuple(f"#!{path}{name}".encode() for name in language.shebangs for path in _PROGRAMS),
        helped_by=("tree_sitter", language.module),
    )


def _office(kind: str, *suffixes: str, among: tuple[str, ...] = ()) -> Reader:
    """A reader of office documents, of which each may lie under the suffix of another."""
    return Reader(
        kind,
        suffixes,
        f"{_HERE}.office:read",
        is_text=False,
        among=among,
        recognise=f"{_HERE}.office:recognise" if among else None,
    )


def _found(
    kind: str,
    suffixes: tuple[str, ...],
    read: str,
    recognise: str,
    among: tuple[str, ...],
    is_text: bool = True,
) -> Reader:
    """A reader of a kind that its first bytes tell."""
    recognise = f"{_HERE}.recognising:{recognise}"
    return Reader(kind, suffixes, f"{_HERE}.{read}", is_text=is_text, among=among, recognise=recognise)


OURS = (
    Reader("text", (".txt", ".text", ".log"), f"{_HERE}.text:read"),
    Reader("markdown", (".md", ".markdown", ".mdown", ".mkd"), f"{_HERE}.markdown:read", version=2),
    Reader("html", (".html", ".htm", ".xhtml"), f"{_HERE}.html:read"),
    Reader("restructuredtext", (".rst", ".rest"), f"{_HERE}.restructuredtext:read"),
    Reader("org", (".org",), f"{_HERE}.org:read"),
    Reader("asciidoc", (".adoc", ".asciidoc"), f"{_HERE}.asciidoc:read"),
    Reader("latex", (".tex", ".ltx", ".latex"), f"{_HERE}.latex:read"),
    Reader("notebook", (".ipynb",), f"{_HERE}.notebook:read"),
    Reader("manual page", (".man", ".mdoc"), f"{_HERE}.manual_page:read", starts=_MANUAL_STARTS),
    Reader("plain", PLAIN_SUFFIXES, f"{_HERE}.plain:read", names=PLAIN_NAMES),
    *(_of_language(language) for language in LANGUAGES.values()),
    _office("pdf", ".pdf", among=_LYING),
    _office("word", ".docx", ".docm", ".dotx", ".dotm", ".doc", ".dot"),
    _office("slides", ".pptx", ".pptm", ".ppsx", ".potx", ".ppt", ".pps"),
    _office("sheets", ".xlsx", ".xlsm", ".xltx", ".xls", ".xlt"),
    _office("opendocument", ".odt", ".ott", ".odp", ".otp", ".ods", ".ots", ".odg"),
    _office("rtf", ".rtf"),
    _office("epub", ".epub"),
    _found("email", (".eml", ".emlx"), "email:read", "is_message", ("",), is_text=False),
    _found("mailbox", (".mbox", ".mbx"), "email:read_mailbox", "is_mailbox", ("",), is_text=False),
    Reader("outlook", (".msg",), f"{_HERE}.outlook:read", is_text=False),
    _found("whatsapp", (), "whatsapp:read", "is_whatsapp", (".txt",)),
    _found("slack", (), "slack:read", "is_slack", (".json",)),
    _found("assistant", (), "assistants:read", "is_assistant", (".json",)),
    _found("bookmarks", (), "bookmarks:read_html", "is_bookmarks", (".html", ".htm")),
    _found("browser", (), "bookmarks:read_json", "is_browser_json", (".json", ".bak", "")),
    Reader("subtitles", (".srt", ".vtt"), f"{_HERE}.subtitles:read"),
    Reader("substation", (".ass", ".ssa"), f"{_HERE}.subtitles:read_ass"),
    Reader("lyrics", (".lrc",), f"{_HERE}.subtitles:read_lyrics"),
    Reader("audio", _AUDIO, f"{_HERE}.audio:read", starts=(b"ID3", b"fLaC", b"OggS"), is_text=False),
    Reader("image", _IMAGES, f"{_HERE}.images:read", starts=_IMAGE_STARTS, is_text=False),
    _found("zip", (".zip",), "archives:read_zip", "is_zip", ("",), is_text=False),
    _found("tar", (".tar",), "archives:read_tar", "is_tar", ("",), is_text=False),
    Reader("7z", (".7z",), f"{_HERE}.seven_zip:read", starts=(b"7z\xbc\xaf\x27\x1c",), is_text=False),
    Reader("rar", (".rar",), f"{_HERE}.rar:read", starts=(b"Rar!\x1a\x07",), is_text=False),
    Reader("compressed", _COMPRESSED, f"{_HERE}.archives:read_compressed", starts=_PACKED, is_text=False),
)

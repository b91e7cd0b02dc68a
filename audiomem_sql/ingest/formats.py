"""What a file that is not text is, by its first bytes."""

from __future__ import annotations

_AT_START: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"\0\0\1\0", "an icon"),
    (b"BM", "a bitmap picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"fLaC", "FLAC audio"),
    (b"OggS", "Ogg audio or video"),
    (b"ID3", "MP3 audio"),
    (b"\xff\xfb", "MP3 audio"),
    (b"\xff\xf3", "MP3 audio"),
    (b"\xff\xf2", "MP3 audio"),
    (b"MThd", "MIDI music"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"FLV\1", "a Flash video"),
    (b"\x7fELF", "an executable or library of Linux (ELF)"),
    (b"MZ", "an executable or library of Windows"),
    (b"\xfe\xed\xfa\xce", "an executable or library of macOS"),
    (b"\xfe\xed\xfa\xcf", "an executable or library of macOS"),
    (b"\xce\xfa\xed\xfe", "an executable or library of macOS"),
    (b"\xcf\xfa\xed\xfe", "an executable or library of macOS"),
    (b"\xca\xfe\xba\xbe", "a Java class, or an executable of macOS"),
    (b"\0asm", "WebAssembly"),
    (b"dex\n", "an executable of Android"),
    (b"!<arch>\n", "a library archive"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\0", "xz data"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (b"\x04\x22\x4d\x18", "LZ4 data"),
    (b"\x1f\x9d", "compress data"),
    (b"MSCF\0\0\0\0", "a cabinet archive"),
    (b"\xed\xab\xee\xdb", "an RPM package"),
    (b"%PDF-", "a PDF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an old Microsoft Office"),
    (b"{\\rtf", "an RTF document"),
    (b"AT&TFORM", "a DjVu document"),
    (b"\0\1\0\0\0", "a TrueType font"),
    (b"true\0", "a TrueType font"),
    (b"OTTO", "an OpenType font"),
    (b"ttcf", "a collection of fonts"),
    (b"wOFF", "a WOFF font"),
    (b"wOF2", "a WOFF2 font"),
    (b"PAR1", "Parquet data"),
    (b"ARROW1\0\0", "Arrow data"),
    (b"ORC", "ORC data"),
    (b"Obj\1", "Avro data"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 data"),
    (b"CDF\1", "NetCDF data"),
    (b"CDF\2", "NetCDF data"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
    (b"GGUF", "weights of a model (GGUF)"),
    (b"DIRC\0\0\0", "an index of Git"),
    (b"\xffTOC", "a pack index of Git"),
    (b"PACK\0\0\0", "a pack of Git"),
    (b"\xde\x12\x04\x95", "a catalog of translations"),
    (b"\x95\x04\x12\xde", "a catalog of translations"),
    (b"bplist00", "a binary property list"),
    (b"\xac\xed\0\5", "serialized Java objects"),
)
#: Formats that have their mark behind their first bytes: (offset, mark, what).
_BEHIND: tuple[tuple[int, bytes, str], ...] = (
    (2, b"\r\r\n", "Python bytecode"),
    (2, b"\r\n", "Python bytecode"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "WAV audio"),
    (8, b"AVI ", "an AVI video"),
    (8, b"AIFF", "AIFF audio"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftypM4A", "MPEG-4 audio"),
    (4, b"ftypqt", "a QuickTime video"),
    (4, b"ftyp", "an MPEG-4 video"),
    (4, b"Standard Jet DB\0", "an Access database"),
    (4, b"Standard ACE DB\0", "an Access database"),
    (257, b"ustar", "a tar archive"),
)


def format_of(start: bytes) -> str | None:
    """What content is that begins with ``start``, such as "a PNG picture"; None for what is not known.

    A text can begin like that as well; it is for the caller to know that it is none.
    """
    for mark, what in _AT_START:
        if start.startswith(mark):
            return what
    return next((what for offset, mark, what in _BEHIND if start.startswith(mark, offset)), None)


#: What a table has near its beginning: the id of its block, or its name in the tags.
_TABLE_MARKS = (b"AUDM", b"audiomem-sql")


def is_table(start: bytes) -> bool:
    """Whether content that begins with ``start`` is a table of this package in a FLAC file."""
    return start.startswith(b"fLaC") and any(mark in start for mark in _TABLE_MARKS)

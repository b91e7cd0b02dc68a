"""Whether sound without a page was a table once: what is left of one when its samples were changed.

Tags may say so. And pages of compressed bytes are noise whose samples are all equally frequent, which no
music is: the kurtosis of such noise is 1.8, a little more after a lossy encoder; that of natural sound and of
Gaussian noise is 3 and above.
"""

from __future__ import annotations

import os

import numpy as np

from audiomem_sql.audio.flac.decoder import UNKNOWN_LENGTH, Decoder
from audiomem_sql.audio.flac.metadata import Metadata, read_metadata, stream_start
from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError

NAME = "audiomem-sql"
"""Stands in the tags of every file of ours."""
PLACES = (0.2, 0.35, 0.5, 0.65, 0.8)
SAMPLES = 8192
"""Looked at in each place."""
KURTOSIS = (1.65, 2.4)
"""That of samples that are equally frequent is 1.8, that of a sine 1.5."""
CORRELATION = 0.3
"""Most that neighbouring samples of noise have to do with each other, once its highest frequencies are
gone."""


def evidence_of_a_table(where: str | os.PathLike[str] | ByteSource) -> str | None:
    """How it shows that a FLAC file was a table.

    None if it does not. where: a path, or a source, which is taken over.
    """
    file = open_source(where)
    try:
        start = stream_start(file)
        metadata = read_metadata(file, start)
    except (NotAudioMemoryError, DamagedFileError):
        file.close()
        return None
    decoder = Decoder(file, start)
    try:
        if any(NAME in comment for comment in metadata.comments.values()):
            return "its tags say so"
        return (
            "its samples are noise of equal frequency, as pages are"
            if _pages_like(decoder, metadata)
            else None
        )
    except DamagedFileError:
        return None
    finally:
        decoder.close()


def _pages_like(decoder: Decoder, metadata: Metadata) -> bool:
    length = metadata.total_samples or decoder.length()
    if length < 2 * SAMPLES or length >= UNKNOWN_LENGTH:
        return False
    votes = 0
    for share in PLACES:
        sound = decoder.samples(int((length - SAMPLES) * share), SAMPLES).astype(np.float64)
        sound -= sound.mean(axis=0)
        power = (sound**2).mean(axis=0)
        if not power.all():
            continue
        kurtosis = (sound**4).mean(axis=0) / power**2
        neighbours = np.abs((sound[1:] * sound[:-1]).mean(axis=0)) / power
        noise = (kurtosis > KURTOSIS[0]) & (kurtosis < KURTOSIS[1]) & (neighbours < CORRELATION)
        votes += bool(noise.all())
    return 2 * votes > len(PLACES)

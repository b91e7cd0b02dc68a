"""Text of an image of a page, by the program tesseract, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from audiomem_sql.ingest.documents.blocks import clean

if TYPE_CHECKING:
    import pypdfium2

#: Seconds for one page.
SECONDS = 60
#: Dots per inch that tesseract likes, and pixels of the largest page.
RESOLUTION = 300
PIXELS = 40_000_000


def read_page(page: pypdfium2.PdfPage) -> tuple[str, str]:
    """The text of a page, and why there is none."""
    program = shutil.which("tesseract")
    if program is None:
        return "", "tesseract, which reads images, is not installed"
    width, height = page.get_size()
    scale = min(RESOLUTION / 72, (PIXELS / max(width * height, 1)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        pixels = bitmap.to_numpy()
        image = b"P5 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
    finally:
        bitmap.close()
    return read_image(image, program)


def read_image(image: bytes, program: str) -> tuple[str, str]:
    """The text in an image, of any format that tesseract knows, and why there is none."""
    # The threads of tesseract cost more than they bring where several files are read at once.
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(
            [program, "stdin", "stdout"],
            input=image,
            capture_output=True,
            timeout=SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"tesseract did not read it in {SECONDS} seconds"
    except OSError as error:
        return "", f"tesseract cannot be started ({error.strerror or error})"
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        return "", f"tesseract failed ({said[:200]})"
    text = clean(done.stdout.decode("utf-8", "replace").replace("\f", "")).strip()
    return (text, "") if text else ("", "tesseract finds no text in it")

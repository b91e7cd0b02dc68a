"""An object store in memory that is always right: what the network does to requests is ``network.py``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from audiomem_sql.remote.commits import Mark, Missing, Refused, Stored, Upload


class MemoryStore:
    """Objects by key; the mark of one is a digest of its bytes, as in S3."""

    name = "memory://bucket"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[Upload, list[bytes]] = {}
        #: Called after each object that is written, with its key and bytes, and before one is deleted.
        self.written: Callable[[str, bytes], None] = lambda key, data: None
        self.deleting: Callable[[str], None] = lambda key: None
        self._uploads = 0

    def get(self, key: str) -> Stored:
        data = self.objects.get(key)
        if data is None:
            raise Missing(f"there is no {key}")
        return Stored(data, mark_of(data))

    def get_if_none_match(self, key: str, mark: Mark) -> Stored | None:
        stored = self.get(key)
        return None if stored.mark == mark else stored

    def put_if_absent(self, key: str, data: bytes) -> Mark:
        if key in self.objects:
            raise Refused(f"there is a {key}")
        return self._put(key, data)

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        current = self.objects.get(key)
        if current is None or mark_of(current) != mark:
            raise Refused(f"{key} has changed")
        return self._put(key, data)

    def put_parts(self, key: str, parts: Iterable[bytes]) -> Mark:
        upload = self.begin(key)
        for part in parts:
            self.add(upload, part)
        return self.complete(upload)

    def begin(self, key: str) -> Upload:
        self._uploads += 1
        upload = Upload(key, str(self._uploads))
        self.parts[upload] = []
        return upload

    def add(self, upload: Upload, part: bytes) -> None:
        if upload not in self.parts:
            raise Missing("the upload was aborted")
        self.parts[upload].append(part)

    def complete(self, upload: Upload) -> Mark:
        if upload not in self.parts:
            raise Missing("the upload was aborted")
        return self._put(upload.key, b"".join(self.parts.pop(upload)))

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.deleting(key)
            del self.objects[key]

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.objects if key.startswith(prefix)]

    def uploads(self, prefix: str) -> list[Upload]:
        return [upload for upload in self.parts if upload.key.startswith(prefix)]

    def abort(self, upload: Upload) -> None:
        if self.parts.pop(upload, None) is None:
            raise Missing("the upload is gone")

    def _put(self, key: str, data: bytes) -> Mark:
        self.objects[key] = data
        self.written(key, data)
        return mark_of(data)


def mark_of(data: bytes) -> Mark:
    return Mark(hashlib.md5(data).hexdigest())

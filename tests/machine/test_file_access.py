"""Regular files only, without waiting; and who may read and write what belongs to a table's file."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import abandoned_files, temporary_file
from audiomem_sql.machine.file_access import (
    create_folder,
    create_regular,
    give_access,
    open_regular,
    renew_access,
)

ACL = "system.posix_acl_access"
ANYONE = 0xFFFFFFFF
#: Owner, user 1234, group, mask, others; as Linux stores it.
LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, ANYONE), (2, 6, 1234), (4, 0, ANYONE), (0x10, 6, ANYONE), (0x20, 0, ANYONE))
)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def file_of_mode(path: Path, bits: int, data: bytes = b"data") -> str:
    path.write_bytes(data)
    path.chmod(bits)
    return str(path)


@pytest.fixture(params=["pipe", "folder", "socket", "device", "link", "dangling", "loop"])
def irregular(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Something that is no file, at a path."""
    path = tmp_path / "x"
    (tmp_path / "file").write_bytes(b"data")
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    elif request.param == "socket":
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            monkeypatch.chdir(tmp_path)  # the address of a socket is short
            listener.bind(path.name)
            yield path
            return
    elif request.param == "device":
        path.symlink_to("/dev/zero")
        path = Path("/dev/zero")
    else:
        path.symlink_to({"link": "file", "dangling": "nowhere", "loop": "x"}[request.param])
    yield path


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_CREAT])
def test_what_is_no_file_is_refused_at_once(irregular: Path, flags: int) -> None:
    before = os.lstat(irregular)
    with pytest.raises(StorageError, match=rf"{irregular}: is .*, not a file\. Move") as caught:
        open_regular(irregular, flags, remedy="Move it.")
    assert str(caught.value).endswith(", not a file. Move it.")
    assert os.lstat(irregular).st_ino == before.st_ino
    assert not (irregular.parent / "nowhere").exists()


def test_a_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")
    for handle in (
        open_regular(tmp_path / "file", os.O_RDONLY),
        open_regular(tmp_path / "link", os.O_RDONLY, follow=True),
    ):
        assert os.read(handle, 9) == b"data"
        assert not os.get_inheritable(handle)
        os.close(handle)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing", os.O_RDONLY)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic") as caught:
        open_regular(tmp_path / "loop", os.O_RDONLY, follow=True)
    assert caught.value.errno == errno.ELOOP


def test_no_handle_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        with pytest.raises(StorageError):
            open_regular(tmp_path / "pipe", os.O_RDONLY)
        with pytest.raises(StorageError):
            open_regular(tmp_path, os.O_RDONLY)
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o604, 0o660, 0o666, 0o400, 0o4755])
def test_a_new_file_has_the_mode_of_another(tmp_path: Path, bits: int) -> None:
    like = file_of_mode(tmp_path / "like", bits)
    handle = create_regular(str(tmp_path / "new"), like)
    assert os.fstat(handle).st_size == 0
    os.write(handle, b"data")
    os.close(handle)
    assert mode(tmp_path / "new") == bits & 0o777
    with pytest.raises(FileExistsError):
        create_regular(str(tmp_path / "new"), like)
    assert (tmp_path / "new").read_bytes() == b"data"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000, 0o027])
def test_without_another_it_has_what_the_system_gives(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        for name, like in (("one", None), ("two", str(tmp_path / "nothing"))):
            os.close(create_regular(str(tmp_path / name), like))
            assert mode(tmp_path / name) == 0o666 & ~mask
        handle, temporary = temporary_file(str(tmp_path / "t"))
        os.close(handle)
        assert mode(temporary) == 0o666 & ~mask
    finally:
        assert os.umask(before) == mask


def test_a_temporary_file_is_as_private_as_what_it_replaces(tmp_path: Path) -> None:
    path = file_of_mode(tmp_path / "t", 0o600)
    other = file_of_mode(tmp_path / "other", 0o640)
    names = set()
    for like, bits in ((None, 0o600), (other, 0o640)):
        handle, temporary = temporary_file(path, like)
        os.close(handle)
        assert mode(temporary) == bits
        names.add(temporary)
    assert set(abandoned_files(path)) == names


@pytest.mark.parametrize(
    ("bits", "folder_bits"), [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755), (0o666, 0o777), (0o200, 0o200)]
)
def test_who_may_read_may_list(tmp_path: Path, bits: int, folder_bits: int) -> None:
    like = file_of_mode(tmp_path / "like", bits)
    create_folder(str(tmp_path / "new"), like)
    assert mode(tmp_path / "new") == folder_bits
    (tmp_path / "new").chmod(0o777)
    create_folder(str(tmp_path / "new"), like)
    assert mode(tmp_path / "new") == folder_bits


@pytest.mark.parametrize("kind", ["link", "file", "pipe"])
def test_a_folder_that_is_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    like = file_of_mode(tmp_path / "like", 0o600)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere").chmod(0o755)
    if kind == "link":
        path.symlink_to("elsewhere")
    elif kind == "file":
        path.touch()
    else:
        os.mkfifo(path)
    with pytest.raises(StorageError, match="x: is a link or a file, not a folder"):
        create_folder(str(path), like)
    assert mode(tmp_path / "elsewhere") == 0o755


def test_a_file_that_is_there_gets_it_again(tmp_path: Path) -> None:
    like = file_of_mode(tmp_path / "like", 0o600)
    (tmp_path / "x").touch(0o644)
    handle = open_regular(tmp_path / "x", os.O_RDWR)
    renew_access(handle, str(tmp_path / "nothing"))
    assert mode(tmp_path / "x") == 0o644
    renew_access(handle, like)
    os.close(handle)
    assert mode(tmp_path / "x") == 0o600


def test_a_list_of_users_is_kept_and_none_is_added(tmp_path: Path) -> None:
    """With one the bits of the group are a mask: copied alone they would let the group in."""
    like = file_of_mode(tmp_path / "like", 0o600)
    os.setxattr(like, ACL, LIST)
    os.close(create_regular(str(tmp_path / "new"), like))
    assert os.getxattr(tmp_path / "new", ACL) == LIST
    plain = file_of_mode(tmp_path / "plain", 0o660)
    os.setxattr(tmp_path, "system.posix_acl_default", LIST)
    os.close(create_regular(str(tmp_path / "other"), plain))
    assert ACL not in os.listxattr(tmp_path / "other")
    assert mode(tmp_path / "other") == 0o660


def as_somebody_else(path: Path, *, keep_group: bool) -> int:
    """The mode of a file that a process without rights makes, like one of another user and group."""
    new = path.with_name("new")
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([7] if keep_group else [])
            os.setgid(4321)
            os.setuid(4321)
            os.close(create_regular(str(new), str(path)))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    status = new.stat()
    assert (status.st_uid, status.st_gid) == (4321, 7 if keep_group else 4321)
    new.unlink()
    return stat.S_IMODE(status.st_mode)


def test_what_cannot_be_kept_is_never_more() -> None:
    if os.getuid() != 0:
        return  # nobody else can make a file of another user
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # where that user can get at it
    folder.chmod(0o777)
    try:
        path = folder / "like"
        path.touch()
        os.chown(path, 1000, 7)
        for bits, lost in ((0o640, 0o600), (0o664, 0o644), (0o604, 0o600), (0o666, 0o666), (0o626, 0o622)):
            path.chmod(bits)
            assert as_somebody_else(path, keep_group=True) == bits
            assert as_somebody_else(path, keep_group=False) == lost
        path.chmod(0o640)
        handle = create_regular(str(folder / "of root"), str(path))
        status = os.fstat(handle)
        os.close(handle)
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1000, 7, 0o640)
    finally:
        for name in os.listdir(folder):
            (folder / name).unlink()
        folder.rmdir()


def test_a_list_that_is_lost_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    like = file_of_mode(tmp_path / "like", 0o600)
    os.setxattr(like, ACL, LIST)

    def refused(*arguments: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no lists here")

    monkeypatch.setattr(os, "setxattr", refused)
    handle = os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT, 0o600)
    give_access(handle, like, os.stat(like))
    os.close(handle)
    assert mode(tmp_path / "new") == 0o600


def test_nobody_else_reads_it_until_it_has_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    like = file_of_mode(tmp_path / "like", 0o664)
    before: list[int] = []
    real = os.fchmod

    def watched(handle: int, bits: int) -> None:
        before.append(stat.S_IMODE(os.fstat(handle).st_mode))
        real(handle, bits)

    monkeypatch.setattr(os, "fchmod", watched)
    os.close(create_regular(str(tmp_path / "new"), like))
    create_folder(str(tmp_path / "folder"), like)
    assert before == [0o600, 0o700]

"""The tier on a disk: shared, bounded, and never a wrong block, whoever dies and whatever is on the disk."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.tiers.block import BLOCK_BYTES, HEADER, Block, block_key, seal
from audiomem_sql.remote.tiers.disk import TOUCH_SECONDS, DiskTier
from audiomem_sql.remote.tiers.disk_room import NEW, SMALL_BYTES, STRAY_SECONDS, FileRoom
from audiomem_sql.remote.tiers.shared_sizes import GROUPS, SharedLock, SharedSizes
from remote.tiers.places import ALL, made, some_blocks

TESTS = Path(__file__).parents[2]


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[DiskTier]:
    made_tier = made(f"disk:{tmp_path}/cache:20MB")
    assert isinstance(made_tier, DiskTier)
    yield made_tier
    made_tier.close()


def files_of(tier: DiskTier) -> list[Path]:
    return sorted(path for path in Path(tier.folder).glob("??/*") if path.is_file())


def bytes_of(tier: DiskTier) -> int:
    """What the files take, in sectors of a disk."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files_of(tier))


def path_of(tier: DiskTier, key: bytes) -> Path:
    return Path(tier.folder, key.hex()[:2], key.hex())


def test_what_was_put_is_there_for_every_tier_of_the_folder(tier: DiskTier) -> None:
    blocks = some_blocks(5) | {block_key(b"whole", 0): Block(ALL, os.urandom(BLOCK_BYTES))}
    assert tier.put_many(blocks) == 100_000 + BLOCK_BYTES
    assert tier.get_many([*blocks, bytes(20)]) == blocks
    other = made(f"disk:{tier.folder}:30MB")
    assert other.get_many(list(blocks)) == blocks
    key = next(iter(blocks))
    longer = {key: Block(ALL, os.urandom(BLOCK_BYTES))}
    other.put_many(longer)
    assert tier.get_many([key]) == longer
    assert tier.info().held == other.info().held == bytes_of(tier)
    assert os.stat(tier.folder).st_mode & 0o777 == 0o700
    assert path_of(tier, key).stat().st_mode & 0o777 == 0o600
    other.close()


def damages(sealed: bytes) -> Iterator[bytes]:
    """What may become of a file."""
    chance = random.Random(2)
    for place in [*range(HEADER.size), *(chance.randrange(len(sealed)) for _ in range(40)), len(sealed) - 1]:
        yield sealed[:place] + bytes([sealed[place] ^ 1 << chance.randrange(8)]) + sealed[place + 1 :]
    for length in (0, 1, HEADER.size, HEADER.size + 1, 4096, len(sealed) - 1024, len(sealed) - 1):
        yield sealed[:length]
        yield sealed[:length] + bytes(len(sealed) - length)
    yield sealed + b"\0"
    yield sealed + bytes(2 * BLOCK_BYTES)
    yield chance.randbytes(len(sealed))


def test_a_damaged_file_is_removed_and_never_read(tier: DiskTier) -> None:
    [(key, block)] = some_blocks(1, 9000).items()
    sealed = seal(key, block)
    wrong = 0
    for damaged in damages(sealed):
        tier.put_many({key: block})
        path_of(tier, key).write_bytes(damaged)
        if damaged == sealed:
            continue
        wrong += 1
        assert tier.get_many([key]) == {}
        assert not path_of(tier, key).exists()
        assert tier.counters.now().errors == wrong
    assert wrong > 60


def test_a_whole_block_with_something_behind_it_is_none(tier: DiskTier) -> None:
    [(key, block)] = some_blocks(1, BLOCK_BYTES).items()
    tier.put_many({key: block})
    with path_of(tier, key).open("ab") as file:
        file.write(b"x")
    assert tier.get_many([key]) == {}


def test_the_file_of_another_block_is_none(tier: DiskTier) -> None:
    (one, block), (two, _) = some_blocks(2).items()
    tier.put_many({one: block})
    path_of(tier, two).parent.mkdir(exist_ok=True)
    os.rename(path_of(tier, one), path_of(tier, two))
    assert tier.get_many([one, two]) == {}


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_is_not_read(tier: DiskTier, kind: str, tmp_path: Path) -> None:
    [(key, block)] = some_blocks(1).items()
    path = path_of(tier, key)
    tier.put_many({key: block})
    if kind == "link":
        os.rename(path, tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.unlink()
        path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert tier.get_many([key]) == {}
    tier.put_many({key: block})
    assert tier.get_many([key]) == ({} if kind == "folder" else {key: block})
    assert not list(Path(tier.folder).glob(f"??/{NEW}*"))


def test_a_folder_that_was_emptied_is_filled_again(tier: DiskTier) -> None:
    blocks = some_blocks(3)
    tier.put_many(blocks)
    subprocess.run(["rm", "-r", tier.folder], check=True)
    assert tier.get_many(list(blocks)) == {}
    tier.put_many(blocks)
    assert tier.get_many(list(blocks)) == blocks
    assert tier.info().held == bytes_of(tier)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    tier = made(f"disk:{tmp_path}/cache:1MB")
    assert isinstance(tier, DiskTier)
    blocks = some_blocks(40)
    keys = list(blocks)
    now = time.time()
    for age, key in enumerate(keys):
        tier.put_many({key: blocks[key]})
        os.utime(path_of(tier, key), (now - 9000 + age, now - 9000 + age))
    assert set(tier.get_many(keys[:3])) == set(keys[:3])  # it is marked as used
    assert path_of(tier, keys[0]).stat().st_mtime > now - TOUCH_SECONDS
    new = some_blocks(10, start=100)
    tier.put_many(new)
    assert set(tier.get_many(list(new))) == set(new)
    assert len(files_of(tier)) == 43  # 50 were too many: nine tenths are left
    assert set(tier.get_many(keys)) == {*keys[:3], *keys[-30:]}
    assert bytes_of(tier) == tier.info().held
    assert tier.counters.now().evictions == 7


def test_a_large_folder_makes_room_a_part_at_a_time(tmp_path: Path) -> None:
    """The files are sparse: what counts is their length."""
    room = FileRoom(str(tmp_path), SMALL_BYTES)
    for number in range(48):
        key = block_key(b"large", number)
        path = tmp_path / key.hex()[:2] / key.hex()
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.truncate(path, SMALL_BYTES // 40)
    sizes = [room.size_of_group(group) for group in range(GROUPS)]
    assert sum(sizes) > SMALL_BYTES
    found, removed = room.make(sizes, SMALL_BYTES)
    assert 0 < len(found) < GROUPS
    largest = max(range(GROUPS), key=sizes.__getitem__)
    assert found[largest] < SMALL_BYTES / GROUPS
    after = [room.size_of_group(group) for group in range(GROUPS)]
    assert {group: after[group] for group in found} == found
    assert sum(after) <= SMALL_BYTES
    assert removed == 48 - len(list(tmp_path.glob("??/*")))
    room.close()


def test_only_our_files_make_room(tmp_path: Path) -> None:
    tier = made(f"disk:{tmp_path}/cache:1MB")
    assert isinstance(tier, DiskTier)
    folder = Path(tier.folder, "00")
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_bytes(bytes(30_000_000))
    (Path(tier.folder) / "kept").write_bytes(bytes(30_000_000))
    (folder / ("0" * 40)).mkdir()
    new, old = folder / f"{NEW}1-1", folder / f"{NEW}1-2"
    for path in (new, old):
        path.touch()
    os.utime(old, (0, time.time() - STRAY_SECONDS - 9))
    tier.put_many(some_blocks(100))
    assert 500_000 < bytes_of(tier) - 30_003_200 <= 10**6
    assert (folder / "notes.txt").exists()
    assert (folder / ("0" * 40)).exists()
    assert new.exists()
    assert not old.exists()
    tier.close()


@pytest.mark.parametrize("damage", [b"", b"short", bytes(132), os.urandom(132), os.urandom(500)])
def test_sizes_that_are_lost_are_counted_again(tier: DiskTier, damage: bytes) -> None:
    tier.put_many(some_blocks(9))
    Path(tier.folder, "sizes").write_bytes(damage)
    assert tier.info().held == 9 * 20_480
    Path(tier.folder, "sizes").write_bytes(damage)
    tier.put_many(some_blocks(3, start=9))
    assert tier.info().held == 12 * 20_480


def test_a_lock_that_is_not_given_back_is_not_waited_for(tier: DiskTier) -> None:
    """Its holder was stopped."""
    blocks = some_blocks(2)
    with SharedLock(f"{tier.folder}/sizes").held(1):
        assert tier.put_many(blocks) == 40_000
        assert tier.get_many(list(blocks)) == blocks
        assert "cannot be used" in tier.info().state
    assert tier.counters.now().errors == 1
    assert tier.info().state == "ok"
    assert tier.info().held == 0
    tier.put_many(some_blocks(1, start=2))  # counts what was not counted
    assert tier.info().held == 3 * 20_480


def test_one_process_makes_room(tmp_path: Path) -> None:
    room, other = FileRoom(str(tmp_path), 1), SharedLock(str(tmp_path / "lock"))
    key = block_key(b"x", 1).hex()
    (tmp_path / key[:2]).mkdir()
    (tmp_path / key[:2] / key).write_bytes(b"x")
    with other.held(1):
        assert room.make([9] * GROUPS, 1) == ({}, 0)
    assert room.make([9] * GROUPS, 1)[1] == 1
    room.close()
    other.close()


def test_nothing_is_written_while_another_makes_room(tmp_path: Path) -> None:
    tier = made(f"disk:{tmp_path}/cache:1MB")
    other = SharedLock(f"{tmp_path}/cache/lock")
    blocks = some_blocks(60)
    with other.held(1):
        for key, block in blocks.items():
            tier.put_many({key: block})
        held = len(tier.get_many(list(blocks)))
        assert held == 10**6 // 20_480 + 1
        assert tier.counters.now().skipped == 60 - held
    tier.put_many(some_blocks(1, start=60))
    assert tier.info().held <= 900_000 + 20_480
    assert tier.counters.now().skipped == 60 - held
    tier.close()
    other.close()


def test_sizes_are_added_by_many_threads_and_processes(tmp_path: Path) -> None:
    code = (
        "import sys, threading\n"
        "from audiomem_sql.remote.tiers import shared_sizes\n"
        "shared_sizes.WAIT_SECONDS = 60\n"
        "sizes = shared_sizes.SharedSizes(sys.argv[1], lambda group: 0)\n"
        "work = lambda: [sizes.add({3: 2, 5: 1}) for _ in range(100)]\n"
        "threads = [threading.Thread(target=work) for _ in range(2)]\n"
        "[each.start() for each in threads]\n"
        "[each.join() for each in threads]\n"
    )
    path = str(tmp_path / "sizes")
    sizes = SharedSizes(path, lambda group: 0)
    assert sizes.now() == [0] * GROUPS
    workers = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert sizes.now() == [0, 0, 0, 800, 0, 400, *[0] * 10]
    assert sizes.correct([700] * GROUPS, {3: 7, 5: 9})[3:6] == [107, 0, 9]
    assert sizes.add({3: -109})[3] == 0
    sizes.close()


WRITER = """
import itertools, random, sys
sys.path.insert(0, sys.argv[3])
from remote.tiers.places import made
from audiomem_sql.remote.tiers.block import Block, block_key
tier = made(f"disk:{sys.argv[1]}:3MB")
chance = random.Random(sys.argv[2])
for step in itertools.count():
    number = chance.randrange(120)
    data = random.Random(number).randbytes(60_000)
    key = block_key(b"shared", number)
    found = tier.get_many([key])
    assert found.get(key, Block(2 ** 59 - 1, data)).data == data
    tier.put_many({key: Block(2 ** 59 - 1, data)})
    if step % 20 == 0:
        print(step, flush=True)
"""


def test_processes_that_are_killed_leave_whole_blocks_within_the_bound(tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")

    def writer(number: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, folder, str(number), str(TESTS)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    chance = random.Random(3)
    witness = writer(0)
    for number in range(1, 4):
        process = writer(number)
        assert process.stdout is not None
        for _ in range(chance.randrange(2, 5)):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert witness.poll() is None
    assert witness.stdout is not None
    witness.kill()
    witness.wait()
    witness.stdout.close()
    tier = made(f"disk:{folder}:3MB")
    assert isinstance(tier, DiskTier)
    keys = {block_key(b"shared", number): random.Random(number).randbytes(60_000) for number in range(120)}
    found = tier.get_many(list(keys))
    assert len(found) > 20
    assert all(block.data == keys[key] for key, block in found.items())
    assert tier.counters.now().errors == 0
    whole = sum(path.stat().st_size for path in files_of(tier) if not path.name.startswith(NEW))
    assert whole <= 3_400_000  # what each writes while one makes room comes on top
    tier.close()


def test_a_child_of_a_fork_has_locks_of_its_own(tier: DiskTier) -> None:
    blocks = some_blocks(2)
    tier.put_many(blocks)
    with tier._sizes._lock.held(1):  # of a thread that the child does not have
        child = os.fork()
        if not child:
            found = tier.get_many(list(blocks)) == blocks
            os._exit(0 if found else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    child = os.fork()
    if not child:
        tier.put_many(some_blocks(1, start=9))
        os._exit(tier.counters.now().errors)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tier.info().held == 3 * 20_480


@pytest.mark.parametrize("below", ["file/cache", "/proc/cache", "nul\0"])
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    tier = DiskTier("disk", os.path.join(tmp_path, below), 10**6)
    with pytest.raises(StorageError, match=r"cannot be used as a cache: .*Name a folder") as raised:
        tier.open()
    assert raised.value.file == tier.folder


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o500)
    code = (
        "import os, sys\n"
        "from audiomem_sql.remote.tiers.disk import DiskTier\n"
        "os.getuid() or os.setuid(65534)\n"
        "DiskTier('disk', sys.argv[1], 10**6).open()\n"
    )
    os.chmod(tmp_path, 0o755)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert "cannot be used as a cache: Permission denied" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, "mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", folder], check=True)
    yield folder
    subprocess.run([*sudo, "umount", folder], check=True)


def test_a_full_disk_keeps_what_it_has(small_disk: Path) -> None:
    tier = made(f"disk:{small_disk}/cache:10MB")
    assert isinstance(tier, DiskTier)
    blocks = some_blocks(60)
    for key, block in blocks.items():
        tier.put_many({key: block})
    found = tier.get_many(list(blocks))
    assert len(found) > 30
    assert all(blocks[key] == block for key, block in found.items())
    assert tier.info().state == "the disk is full"
    assert tier.counters.now().errors == 1
    assert tier.counters.now().evictions > 0
    assert not list(small_disk.glob(f"cache/??/{NEW}*"))
    tier._full_until = 0.0
    tier.put_many(some_blocks(1, start=100))
    assert tier.info().state == "ok"
    (small_disk / "other").write_bytes(
        bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize)
    )
    again = made(f"disk:{small_disk}/cache:10MB")
    assert again.get_many(list(found)).keys() <= found.keys()
    tier.close()
    again.close()

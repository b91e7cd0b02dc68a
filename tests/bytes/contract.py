"""What every place of bytes must do: subclass ``ByteSourceContract`` and say how to make one."""

from __future__ import annotations

import abc
import io
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import StorageError

DATA = bytes(range(256)) * 300


class ByteSourceContract(abc.ABC):
    """The conformance suite."""

    @abc.abstractmethod
    def make(self, data: bytes) -> ByteSource:
        """A new source of ``data``, at least one byte."""

    @abc.abstractmethod
    def replace(self, source: ByteSource, data: bytes) -> ByteSource:
        """Put ``data`` where ``source`` was opened, and open it again; ``source`` stays open."""

    def test_size_and_name(self) -> None:
        source = self.make(DATA)
        assert source.size == len(DATA)
        assert source.name
        source.close()

    @settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, len(DATA) + 9), st.integers(0, len(DATA) + 9)), max_size=9))
    def test_one_answer_a_range(self, ranges: list[tuple[int, int]]) -> None:
        """In their order, whether or not they overlap; shorter only at the end."""
        source = self.make(DATA)
        expected = [DATA[offset : offset + length] for offset, length in ranges]
        assert source.read(ranges) == expected
        assert [source.read_at(offset, length) for offset, length in ranges] == expected
        source.close()

    @pytest.mark.parametrize("length", [0, 1, 20, 70_000])
    @pytest.mark.parametrize("last", [0, len(DATA) - 20, len(DATA) - 3, len(DATA), len(DATA) + 9])
    def test_answers_of_one_length(self, length: int, last: int) -> None:
        """Zeros stand for what is not there."""
        source = self.make(DATA)
        offsets = [7, 300, 0, last]
        expected = b"".join(DATA[offset : offset + length].ljust(length, b"\0") for offset in offsets)
        assert source.read_alike(offsets, length) == expected
        assert source.read_alike([], length) == b""
        source.close()

    def test_identity_is_that_of_the_bytes(self) -> None:
        source = self.make(DATA)
        again = source.reopen()
        assert source.identity == again.identity
        assert hash(source.identity) == hash(again.identity)
        other = self.replace(source, DATA[::-1])
        assert other.identity != source.identity
        for each in (source, again, other):
            each.close()

    def test_what_is_open_stays_what_it_was(self) -> None:
        """Also where other bytes have the name by now."""
        source = self.make(DATA)
        other = self.replace(source, DATA[::-1])
        again = source.reopen()
        for each in (source, again):
            assert each.read_at(0, 300) == DATA[:300]
            assert self.streamed(each, 5, 300) == DATA[5:305]
        assert other.read_at(0, 300) == DATA[::-1][:300]
        for each in (source, again, other):
            each.close()

    def test_each_is_closed_by_itself(self) -> None:
        source = self.make(DATA)
        again = source.reopen()
        source.close()
        source.close()
        assert again.read_at(7, 3) == DATA[7:10]
        again.close()

    def test_a_closed_source_says_so(self) -> None:
        source = self.make(DATA)
        source.close()
        with pytest.raises(StorageError, match="closed"):
            source.read_at(0, 1)
        with pytest.raises(StorageError, match="closed"):
            source.read([(0, 1)])
        with pytest.raises(StorageError, match="closed"):
            source.read_alike([0, 1], 1)

    def test_a_stream_ends_with_the_bytes(self) -> None:
        source = self.make(DATA)
        for offset in (0, 1, len(DATA) - 1):
            assert self.streamed(source, offset, len(DATA)) == DATA[offset:]
        source.close()

    def test_streams_have_positions_of_their_own(self) -> None:
        source = self.make(DATA)
        first, second = (self.opened(source, offset) for offset in (0, 100))
        assert first.read(10) + second.read(10) + first.read(10) == DATA[:10] + DATA[100:110] + DATA[10:20]
        source.close()
        assert second.read(10) == DATA[110:120]
        first.close()
        second.close()

    def test_threads_share_it(self) -> None:
        source = self.make(DATA)
        wrong: list[int] = []

        def work(first: int) -> None:
            for offset in range(first, len(DATA), 97):
                if source.read_at(offset, 50) != DATA[offset : offset + 50]:
                    wrong.append(offset)

        threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        source.close()

    @staticmethod
    def opened(source: ByteSource, offset: int) -> io.RawIOBase:
        """The stream from ``offset`` on as a file object, read on from where it stands."""
        stream = source.open_stream(offset)
        return io.FileIO(stream) if isinstance(stream, int) else stream

    def streamed(self, source: ByteSource, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset`` on, read as a stream."""
        stream, parts = self.opened(source, offset), []
        while length and (part := stream.read(min(length, 50_000))):
            parts.append(part)
            length -= len(part)
        stream.close()
        return b"".join(parts)

"""Where models and large matrix products run: on the processors, or on a device that the user chose.

The choice is the process's: ``use_device``, or the environment variable ``AUDIOMEM_DEVICE``. No file holds
it, so what was written with a GPU opens without one. ``cpu`` is numpy, and the default; ``cuda`` and
``cuda:1`` are GPUs as torch numbers them; ``auto`` is ``cuda`` where torch finds one, and else ``cpu``;
``torch:cpu`` is torch on the processors, the same code as on a GPU, which the tests run.

Products are float32 in full: TF32 is off while they are made, whatever the process says otherwise.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array
from audiomem_sql.errors import MissingExtraError, OptionError, UnsupportedError, did_you_mean

ENVIRONMENT = "AUDIOMEM_DEVICE"
CPU, AUTO, CUDA, TORCH_CPU = "cpu", "auto", "cuda", "torch:cpu"
#: Numbers of the vectors below which a device is not asked: bringing them there takes longer.
LEAST_NUMBERS = 1 << 18
#: Vectors that are brought there at once by a comparison with one. All pieces have this shape, so that equal
#: vectors have equal sums.
_ROWS_AT_ONCE = 4096
_GPU = re.compile(r"cuda(:\d{1,3})?")
_REMEDY = f"Use {ENVIRONMENT}=cpu, or `auto`, which is a GPU only where there is one."
_chosen: str | None = None


def use_device(name: str | None = None) -> str:
    """Let models, large matrix products and k-means of this process run on ``name``; where they run now.

    name: ``cpu``, ``cuda``, ``cuda:1``, ``auto``, or ``torch:cpu``; None only asks. OptionError for another,
    MissingExtraError without torch, UnsupportedError without a GPU; the choice stays what it was then.
    """
    global _chosen
    if name is not None:
        _opened(_checked(name))
        _chosen = name
    place = device()
    return CPU if place is None else place.name


def device() -> Device | None:
    """The device that was chosen; None where numpy is. Raises what ``use_device`` raises."""
    name = _chosen or os.environ.get(ENVIRONMENT) or CPU
    return None if name == CPU else _opened(_checked(name))


def device_for(numbers: int) -> Device | None:
    """The device for a comparison with so many numbers of vectors; None where numpy is to do it."""
    return device() if numbers >= LEAST_NUMBERS else None


def place_of_models() -> str:
    """Where torch runs models, as it names it."""
    place = device()
    return CPU if place is None else place.place


def working() -> contextlib.AbstractContextManager[None]:
    """What torch is asked to do where the user wants it, see :meth:`Device.working`."""
    place = device()
    return contextlib.nullcontext() if place is None else place.working()


class Vectors:
    """Vectors that stay on a device, to be compared with others.

    A score is the product of two vectors, less what the second one has in ``losses``.
    """

    def __init__(self, device: Device, vectors: F32Array, losses: F32Array | None) -> None:
        self._device = device
        self._count = len(vectors)
        with device.working():
            self._vectors = device.tensor(vectors)
            self._losses = None if losses is None else device.tensor(losses)

    def greatest(self, queries: F32Array, count: int) -> tuple[F32Array, I64Array]:
        """The ``count`` greatest scores of float32 (m, d) with these vectors, falling, and which have them.

        float32 and int64 (m, count). Of equal scores the first is meant, for count 1; else any.
        """
        torch = self._device.torch
        with self._device.working():
            scores = self._device.tensor(queries) @ self._vectors.T
            if self._losses is not None:
                scores -= self._losses
            if count > 1:
                values, places = torch.topk(scores, min(count, self._count), dim=1)
                return values.cpu().numpy(), places.cpu().numpy()
            # argmax does not promise which one of equal scores it gives
            values = scores.max(dim=1, keepdim=True).values
            numbers = torch.arange(self._count, dtype=torch.int32, device=self._device.place)
            places = torch.where(scores == values, numbers, self._count - 1).min(dim=1, keepdim=True).values
            return values.cpu().numpy(), places.cpu().numpy().astype(np.int64)


class Device:
    """A device of torch. name: as the user has it. place: as torch has it."""

    def __init__(self, torch: Any, name: str, place: str) -> None:
        self.torch = torch
        self.name = name
        self.place = place

    def vectors(self, vectors: F32Array, losses: F32Array | None = None) -> Vectors:
        """float32 (n, d) vectors, brought there. losses: float32 (n,)."""
        return Vectors(self, vectors, losses)

    def sums(self, vectors: F32Array, query: F32Array) -> tuple[F64Array, F64Array]:
        """The products of float32 (n, d) with float32 (d,), and of each with itself: float64 (n,) both."""
        products, squares = np.empty(len(vectors)), np.empty(len(vectors))
        with self.working():
            one = self.tensor(query).double()
            for rows, piece in self._pieces(vectors):
                products[rows] = (piece * one).sum(dim=1).cpu().numpy()[: rows.stop - rows.start]
                squares[rows] = (piece * piece).sum(dim=1).cpu().numpy()[: rows.stop - rows.start]
        return products, squares

    def square_distances(self, vectors: F32Array, query: F32Array) -> F64Array:
        """The squared Euclidean distances of float32 (n, d) from float32 (d,): float64 (n,)."""
        squares = np.empty(len(vectors))
        with self.working():
            one = self.tensor(query).double()
            for rows, piece in self._pieces(vectors):
                piece -= one
                squares[rows] = (piece * piece).sum(dim=1).cpu().numpy()[: rows.stop - rows.start]
        return squares

    def tensor(self, values: F32Array) -> Any:
        """An array, copied there."""
        return self.torch.tensor(np.ascontiguousarray(values), device=self.place)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Work on it: without TF32; UnsupportedError for what torch cannot do, such as without memory."""
        precision = self.torch.get_float32_matmul_precision()
        try:
            if precision != "highest":
                self.torch.set_float32_matmul_precision("highest")
            yield
        except RuntimeError as error:
            raise UnsupportedError(
                f"the device {self.name} failed ({str(error).splitlines()[0]:.200})", remedy=_REMEDY
            ) from None
        finally:
            if precision != "highest":
                self.torch.set_float32_matmul_precision(precision)

    def _pieces(self, vectors: F32Array) -> Iterator[tuple[slice, Any]]:
        """Rows, and float64 (4096, d) there, with zeros behind the last of them."""
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            part = vectors[start : start + _ROWS_AT_ONCE]
            there = self.tensor(part).double()
            if len(part) < _ROWS_AT_ONCE:
                there = self.torch.nn.functional.pad(there, (0, 0, 0, _ROWS_AT_ONCE - len(part)))
            yield slice(start, start + len(part)), there


def _checked(name: str) -> str:
    if not isinstance(name, str) or not (name in (CPU, AUTO, TORCH_CPU) or _GPU.fullmatch(name)):
        known = (CPU, CUDA, AUTO, TORCH_CPU)
        raise OptionError(
            f"device {name!r:.60} does not exist",
            remedy=f"{did_you_mean(name, known)}Use one of: cpu, cuda, cuda:1, auto.",
        )
    return name


@cache
def _opened(name: str) -> Device | None:
    """The device of this name, one for the process. Raises what ``use_device`` raises."""
    if name == CPU or (name == AUTO and importlib.util.find_spec("torch") is None):
        return None
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: of a library that it needs
        if name == AUTO:
            return None
        raise MissingExtraError(
            f"the device {name} needs torch ({error!s:.100})",
            remedy=f"Install it with: pip install 'audiomem-sql[semantic]'. {_REMEDY}",
        ) from None
    if name == TORCH_CPU:
        return Device(torch, name, CPU)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == AUTO:
        return Device(torch, CUDA, CUDA) if count else None
    if int(name.partition(":")[2] or 0) >= count:
        found = "no GPU" if not count else "one GPU" if count == 1 else f"{count} GPUs, numbered from 0,"
        raise UnsupportedError(f"torch finds {found} here, so there is no device {name}", remedy=_REMEDY)
    return Device(torch, name, name)

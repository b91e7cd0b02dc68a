"""All layers together, as a segment has them: pages damaged in two ways at once come back."""

from __future__ import annotations

import numpy as np
import pytest

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.protection import parity
from audiomem_sql.protection.crc32c import Crc32cCells
from audiomem_sql.protection.page_code import PageCode
from audiomem_sql.protection.parity import ParityPlan, ParityShare
from audiomem_sql.protection.parity_encoder import ParityEncoder
from audiomem_sql.protection.reed_solomon import ReedSolomon

CELLS, SEED = 24, 77
PAGE = PageCode(ReedSolomon(), 96)
CELL = Crc32cCells(PAGE.data_bytes // CELLS)
FRAME = PAGE.page_bytes + 96 + 11  # page header and frame around it


def protect(payload: U8Array, share: ParityShare) -> tuple[U8Array, ParityPlan]:
    """Payloads of source cells to pages, parity pages last."""
    pages = len(payload) // CELLS
    plan = ParityPlan(len(payload), share.parity_pages(share.total_pages(pages)) * CELLS)
    encoder = ParityEncoder(plan, CELL.payload_bytes)
    for first in range(0, len(payload), 100):
        encoder.add(first, payload[first : first + 100])
    spare = encoder.finish().reshape(-1, CELL.payload_bytes)[: plan.parities]
    cells = CELL.encode(np.concatenate([payload, spare]), SEED, 0)
    return PAGE.encode(cells.reshape(-1, PAGE.data_bytes)), plan


def repair(pages: U8Array, plan: ParityPlan) -> tuple[U8Array, BoolArray]:
    """Payloads of source cells, and whether each is what was written."""
    payload, intact = CELL.decode(pages[:, : PAGE.data_bytes].reshape(-1, CELL.cell_bytes), SEED, 0)
    damaged = np.flatnonzero(~intact.reshape(-1, CELLS).all(axis=1))
    damaged = damaged[PAGE.worth_decoding(pages[damaged])]
    for page in damaged.tolist():
        cells = slice(page * CELLS, (page + 1) * CELLS)
        data = PAGE.decode(pages[page][None]).data.reshape(-1, CELL.cell_bytes)
        payload[cells], intact[cells] = CELL.decode(data, SEED, page * CELLS)
    for group in range(plan.groups):
        own = np.concatenate([plan.sources_of(group), plan.sources + plan.parities_of(group)])
        payload[own], intact[own] = plan.recover(group, payload[own], intact[own])
    return payload[: plan.sources], intact[: plan.sources]


@pytest.mark.parametrize("pages", [3, 8, 41])
@pytest.mark.parametrize("largest_group", [400, 8192])
def test_sectors_and_scattered_bytes(pages: int, largest_group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "LARGEST_GROUP", largest_group)
    share = ParityShare(1, 5, 3 if largest_group < 8192 else 1)  # small groups need more for chance
    rng = np.random.default_rng(pages)
    payload = rng.integers(0, 256, (pages * CELLS, CELL.payload_bytes), np.uint8)
    stored, plan = protect(payload, share)
    assert np.array_equal(repair(stored, plan)[0], payload)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        file = np.zeros((len(stored), FRAME), np.uint8)
        file[:, FRAME - PAGE.page_bytes :] = stored
        flat = file.reshape(-1)
        sectors = len(flat) // 4096
        for sector in rng.choice(sectors, round(0.12 * sectors), replace=False).tolist():
            flat[sector * 4096 : (sector + 1) * 4096] = rng.integers(0, 256, 4096, np.uint8)
        flat[rng.choice(len(flat), len(flat) // 50_000)] ^= 0x20  # one in two pages
        found, intact = repair(file[:, FRAME - PAGE.page_bytes :], plan)
        assert intact.all()
        assert np.array_equal(found, payload)


def test_too_much_is_named() -> None:
    payload = np.random.default_rng(1).integers(0, 256, (10 * CELLS, CELL.payload_bytes), np.uint8)
    stored, plan = protect(payload, ParityShare(1, 10))
    stored[:5] = 0
    found, intact = repair(stored, plan)
    assert not intact[: 5 * CELLS].all()
    assert intact[5 * CELLS :].all()
    assert np.array_equal(found[intact], payload[intact])

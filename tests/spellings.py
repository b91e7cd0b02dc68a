"""Times in all spellings that INSERT takes."""

from __future__ import annotations

from hypothesis import strategies as st

from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS, render

MINUTE, DAY = 60_000_000, 86_400_000_000
#: Times that are close to each other, and the outermost ones.
TIMES = st.one_of(
    st.sampled_from([0, 1, -1, MIN_MICROS, MAX_MICROS, DAY, 1_700_000_000_000_000, 1_700_000_000_500_000]),
    st.integers(-4, 4).map(lambda count: 1_700_000_000_000_000 + count * 3_600_000_000),
    st.integers(0, 3).map(lambda count: 19_000 * DAY + count * DAY),
)
#: Texts that are no time.
NO_TIMES = (
    "",
    "yesterday",
    "2024",
    "2024-03",
    "2024-13-01",
    "2023-02-29",
    "1900-02-29 00:00:00",
    "2024-03-01 24:00",
    "2024-03-01 10:60",
    "2024-03-01 10:00:61",
    "2024-03-01 10",
    "2024-03-01T",
    "2024-03-01 10:00:00.",
    "2024-03-01 10:00:00 ",
    " 2024-03-01",
    "2024-03-01 10:00:00+5",
    "2024-03-01 10:00:00+24:00",
    "2024-03-01 10:00:00+05:60",
    "2024-03-01Z",
    "2024-3-1",
    "2024-03-01 10:00:00\0",
    "2024-03-01  10:00:00",
    "2024-03-01 10:00:00.5x",
    "2024/03/01 10:00:00",
    "٢٠٢٤-03-01",
    "2024-03-01 10:00:00Ⓩ",
)
#: Times, in order, that no TIMESTAMP is.
FARTHER = (
    "-infinity",
    "5877642-06-25 (BC)",
    "0044-03-15 12:00:00.5+00:00 (BC)",
    "0001-01-01 (BC)",
    "0000-12-31T23:59:59.999999999Z",
    "0001-01-01 00:00:00.0000001",
    "2024-03-01 10:00:00.0000001+00",
    "2024-03-01 10:00:00.123456789",
    "9999-12-31 23:59:59.999999999",
    "9999-12-31 23:59:59-00:01",
    "10000-01-01 00:00:59.5",
    "292277026596-12-04 15:30:07",
    "infinity",
)


@st.composite
def spellings(draw: st.DrawFn, us: int, *, zoned: bool = True) -> str:
    """The time in one of its spellings; without ``zoned``, in one that DuckDB takes for the same time.

    DuckDB leaves an offset out, and knows neither ``t`` nor ``z``.
    """
    away = draw(st.sampled_from([None, None, 0, 60, -90, 23 * 60 + 59, -(23 * 60 + 59)] if zoned else [None]))
    if away is not None and not MIN_MICROS <= us + away * MINUTE <= MAX_MICROS:
        away = None
    text = render(us + (away or 0) * MINUTE)
    whole, point, fraction = text.partition(".")
    if point or draw(st.booleans()):
        digits = draw(st.integers(max(len(fraction), 1), 9))
        text = f"{whole}.{fraction.ljust(digits, '0')}"
    elif whole.endswith(":00") and draw(st.booleans()):
        text = whole[:-3]
        if away is None and text.endswith(" 00:00") and draw(st.booleans()):
            return text[:10]
    text = text.replace(" ", draw(st.sampled_from(" Tt " if zoned else " T")))
    if away is None:
        return text
    if away == 0 and draw(st.booleans()):
        return text + draw(st.sampled_from("Zz"))
    hours, minutes = divmod(abs(away), 60)
    return f"{text}{'-' if away < 0 else '+'}{hours:02d}:{minutes:02d}"

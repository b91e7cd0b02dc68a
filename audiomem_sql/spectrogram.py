"""A picture of a table: its sound over time, its bands and how well they are heard, its pages and what is damaged."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.modulated import ModulatedPages
from audiomem_sql.audio.source import PageSource
from audiomem_sql.audio.transform import unpacked
from audiomem_sql.bands import BandState, bands
from audiomem_sql.errors import MissingExtraError, OptionError, StorageError
from audiomem_sql.page_layout import PageKind
from audiomem_sql.segment import Segment
from audiomem_sql.snapshot import Snapshot

WINDOW = 8192
"""Samples of one column of the spectrogram."""
COLUMNS, ROWS = 600, 320
LEAST, MOST = -100.0, 0.0
"""dB below full scale that are shown."""
LOWEST = 20.0
PAGE_COLUMNS = 120
"""Columns of the map of pages, at most."""
KINDS = {"catalog": "#4477aa", "data": "#66ccee", "parity": "#ccbb44", "damaged": "#ee3377"}
FORMATS = (".png", ".svg", ".pdf")


def draw(snapshot: Snapshot, picture: str | os.PathLike[str]) -> None:
    """Draw the first file of a table to ``picture``: .png, .svg or .pdf.

    OptionError for another ending, MissingExtraError without matplotlib, StorageError for what cannot be written.
    """
    path = os.fspath(picture)
    if not path.lower().endswith(FORMATS):
        raise OptionError(f"{path}: no kind of picture", remedy=f"End the name with {', '.join(FORMATS)}.")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "a spectrogram needs matplotlib", remedy="pip install 'audiomem-sql[sound]'"
        ) from None
    segment = snapshot.segments[0]
    figure: Any = Figure(figsize=(12, 7.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1), width_ratios=(4, 1))
    profile = segment.file.source.profile
    states = bands(snapshot)
    mode = segment.file.source.mode
    modulation = "pcm" if mode is None else f"spectrum, {mode.plan.name}, {mode.robustness}"
    figure.suptitle(
        f"{os.path.basename(segment.path)}: {segment.rows:,} rows, modulation {modulation}, "
        f"{profile.sample_rate / 1000:g} kHz, {profile.bits_per_sample} bit, protection {segment.file.layout.level.name}"
    )
    _sound(figure, figure.add_subplot(grid[0, 0]), segment, states)
    _health(figure.add_subplot(grid[0, 1]), states)
    _pages(figure.add_subplot(grid[1, :]), segment)
    try:
        figure.savefig(path)
    except OSError as fault:
        raise StorageError(f"cannot be written: {fault.strerror or fault}", file=path) from fault


def levels(
    sound: PageSource,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """dB relative to a sine of full scale, float64 (ROWS, columns), the edges of the rows in Hz, and the length in seconds.

    Of channel 0; what cannot be decoded is silence.
    """
    profile = sound.profile
    together = -(-WINDOW // profile.block_size)  # frames that a window takes
    windows = max(1, sound.present // together)
    columns = min(COLUMNS, windows)
    edges = np.geomspace(LOWEST, profile.sample_rate / 2, ROWS + 1)
    frequencies = np.fft.rfftfreq(WINDOW, 1 / profile.sample_rate)
    centre = np.sqrt(edges[1:] * edges[:-1])
    window = np.hanning(WINDOW)
    shown = np.empty((ROWS, columns))
    for column in range(columns):
        frames, _ = sound.read_checked(column * windows // columns * together, together)
        part = unpacked(frames[:, : profile.channel_size], profile).reshape(-1)[:WINDOW]
        part = part / (1 << profile.bits_per_sample - 1)
        amplitude = np.abs(np.fft.rfft(part * window)) * 2 / window.sum()
        shown[:, column] = np.interp(centre, frequencies, amplitude)
    seconds = sound.present * profile.block_size / profile.sample_rate
    return 20 * np.log10(np.maximum(shown, 1e-6)), edges, seconds


def _sound(figure: Any, axes: Any, segment: Segment, states: list[BandState]) -> None:
    source = segment.file.source
    rate = source.profile.sample_rate
    shown, edges, seconds = levels(source.sound if isinstance(source, ModulatedPages) else source)
    times = np.linspace(0, seconds, shown.shape[1] + 1)
    mesh = axes.pcolormesh(times, edges, shown, vmin=LEAST, vmax=MOST, cmap="magma", rasterized=True)
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, rate / 2)
    axes.set(xlabel="seconds", ylabel="Hz", title="channel 0")
    for state in states:
        for edge in (state.low, state.high):
            axes.axhline(max(edge, LOWEST), color="white", linewidth=0.8, linestyle="--", alpha=0.8)
        middle = (max(state.low, LOWEST) * state.high) ** 0.5
        axes.text(
            seconds * 0.01, middle, state.name, color="white", va="center", fontsize=9, fontweight="bold"
        )
    if source.mode is not None:
        axes.text(seconds * 0.01, 40, "control", color="white", va="center", fontsize=9)
    figure.colorbar(mesh, ax=axes, label="dBFS", pad=0.01)


def _health(axes: Any, states: list[BandState]) -> None:
    names = [state.name for state in states]
    values = [0.0 if state.health is None else state.health for state in states]
    axes.barh(names, values, color=["#228833" if value > 0.3 else "#ee3377" for value in values])
    for place, state in enumerate(states):
        said = "not measured" if state.health is None else f"{100 * state.health:.0f} %"
        if state.corrections or state.lost:
            said += f"\n{state.corrections:,} corrected\n{state.lost:,} lost"
        axes.text(0.02, place, said, va="center", fontsize=8)
    axes.set(xlim=(0, 1), title="health of the bands")


def kinds_of_pages(segment: Segment) -> list[str]:
    """catalog, data, parity or damaged: of every page."""
    file = segment.file
    if file.map is not None:
        kinds = [PageKind(file.map.kind_of(page)[0]).name.lower() for page in range(file.page_count)]
    else:
        first = segment.data_page
        kinds = ["catalog"] * first + ["data"] * (file.page_count - 2 * first) + ["catalog"] * first
    for damage in file.damage():
        kinds[damage.page] = "damaged"
    for page in file.missing:
        kinds[page] = "damaged"
    return kinds


def _pages(axes: Any, segment: Segment) -> None:
    from matplotlib.colors import ListedColormap, to_rgb
    from matplotlib.patches import Patch

    kinds = kinds_of_pages(segment)
    numbers = [list(KINDS).index(kind) for kind in kinds]
    width = min(PAGE_COLUMNS, len(numbers))
    rows = -(-len(numbers) // width)
    field = np.full(rows * width, np.nan)
    field[: len(numbers)] = numbers
    colours = ListedColormap([to_rgb(colour) for colour in KINDS.values()])
    axes.imshow(
        field.reshape(rows, width),
        cmap=colours,
        vmin=-0.5,
        vmax=len(KINDS) - 0.5,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set(title=f"{len(kinds):,} pages of {segment.file.source.page_size:,} bytes", yticks=[])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("page" if rows == 1 else f"page, {width} in a row")
    present = [kind for kind in KINDS if kind in kinds]
    handles = [Patch(color=KINDS[kind], label=f"{kind}: {kinds.count(kind):,}") for kind in present]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

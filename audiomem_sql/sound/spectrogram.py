"""A picture of a table.

Its sound over time, its bands and how well they are heard, its pages and what is damaged.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from audiomem_sql.audio import PageSource, Picture, unpacked
from audiomem_sql.errors import MissingExtraError, OptionError, StorageError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.sound.band_health import BandState, band_states
from audiomem_sql.storage.pages import PageKind
from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.versions import Snapshot

if TYPE_CHECKING:
    import numpy.typing as npt

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
COVER_PIXELS = 1000
COVER_BYTES = 200_000
"""A cover is at most so large; its quality is what that allows."""
QUALITIES = (90, 80, 70, 60, 50, 40, 30)
LONGEST_TITLE = 60
COVER_COLUMNS = 32
"""Pages in a row of a cover's map, at least."""
BACKGROUND, INK, FAINT = "#101018", "#f0f0f0", "#9a9aa8"


def draw(snapshot: Snapshot, picture: str | os.PathLike[str]) -> None:
    """Draw the first file of a table to ``picture``: .png, .svg or .pdf.

    OptionError for another ending, MissingExtraError without matplotlib, StorageError for what cannot be
    written.
    """
    path = os.fspath(picture)
    if not path.lower().endswith(FORMATS):
        raise OptionError(f"{path}: no kind of picture", remedy=f"End the name with {', '.join(FORMATS)}.")
    figure = _figure(figsize=(12, 7.5), dpi=110, layout="constrained")
    segment = snapshot.segments[0]
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1), width_ratios=(4, 1))
    profile = segment.file.profile
    states = band_states(snapshot)
    figure.suptitle(
        f"{os.path.basename(segment.path)}: {segment.rows:,} rows, modulation {modulation(segment)}, "
        f"{profile.sample_rate / 1000:g} kHz, {profile.bits_per_sample} bit, "
        f"protection {segment.file.layout.level.name}",
        parse_math=False,
    )
    _sound(figure, figure.add_subplot(grid[0, 0]), segment, states)
    _health(figure.add_subplot(grid[0, 1]), states)
    _pages(figure.add_subplot(grid[1, :]), segment)
    try:
        figure.savefig(path)
    except OSError as fault:
        raise StorageError(f"cannot be written: {fault.strerror or fault}", file=path) from fault


def draw_cover(snapshot: Snapshot) -> Picture:
    """The first file of a table as cover art: a square JPEG.

    It has at most ``COVER_BYTES``, as far as its quality can be lowered.

    MissingExtraError without matplotlib.
    """
    segment = snapshot.segments[0]
    profile = segment.file.profile
    name = os.path.splitext(os.path.basename(segment.path))[0]
    figure = _figure(figsize=(10, 10), dpi=COVER_PIXELS // 10, facecolor=BACKGROUND)
    title = name if len(name) <= LONGEST_TITLE else name[: LONGEST_TITLE - 1] + "…"
    size = min(64, 850 // max(1, len(title)))
    figure.text(
        0.07, 0.915, title, color=INK, fontsize=size, fontweight="bold", va="center", parse_math=False
    )
    subtitle = f"{snapshot.rows:,} rows, kept as sound"
    figure.text(0.07, 0.855, subtitle, color=INK, fontsize=22, va="center")
    sound = figure.add_axes((0.07, 0.3, 0.86, 0.52))
    sound.set_axis_off()
    shown, edges, seconds = levels(segment.file.sound)
    times = np.linspace(0, seconds, shown.shape[1] + 1)
    least, most = np.percentile(shown, (2, 99.9))  # more contrast than a scale that is the same for all
    sound.pcolormesh(times, edges, shown, vmin=least - 10, vmax=most + 15, cmap="magma", rasterized=True)
    sound.set_yscale("log")
    sound.set_ylim(LOWEST, profile.sample_rate / 2)
    _edges(sound, band_states(snapshot), seconds, fontsize=17)
    kinds = kinds_of_pages(segment)
    pages = figure.add_axes((0.07, 0.12, 0.86, 0.14))
    pages.set_axis_off()
    _map(pages, kinds, max(COVER_COLUMNS, int((6 * len(kinds)) ** 0.5)))
    for number, kind in enumerate(kind for kind in KINDS if kind in kinds):
        x, y = 0.93 - 0.11 * (number % 2), 0.085 - 0.035 * (number // 2)
        figure.text(x, y, kind, color=KINDS[kind], fontsize=17, ha="right", va="center")
    said = f"{modulation(segment)} · protection {segment.file.layout.level.name}"
    figure.text(0.07, 0.085, said, color=FAINT, fontsize=17, va="center")
    said = f"{profile.sample_rate / 1000:g} kHz · {profile.bits_per_sample} bit · {len(kinds):,} pages"
    said += " · audiomem-sql"
    figure.text(0.07, 0.05, said, color=FAINT, fontsize=17, va="center")
    for quality in QUALITIES:
        sink = io.BytesIO()
        figure.savefig(sink, format="jpeg", pil_kwargs={"quality": quality, "optimize": True})
        if sink.tell() <= COVER_BYTES:
            break
    return Picture(
        sink.getvalue(), "image/jpeg", COVER_PIXELS, COVER_PIXELS, description=f"Spectrogram of {name}"
    )


def _figure(**options: Any) -> Any:
    """An empty figure of matplotlib that is drawn in memory."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "a spectrogram needs matplotlib", remedy="pip install 'audiomem-sql[sound]'"
        ) from None
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def modulation(segment: ReadableSegment) -> str:
    """How the pages became sound, in words."""
    mode = segment.file.mode
    return "pcm" if mode is None else f"spectrum, {mode.plan.name}, {mode.robustness}"


def levels(
    sound: PageSource,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """The spectrogram in dB relative to a sine of full scale, float64 (ROWS, columns).

    Also the edges of the rows in Hz, and the length in seconds.

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
        check_interrupt()
        frames, _ = sound.read_checked(column * windows // columns * together, together)
        part = unpacked(frames[:, : profile.channel_size], profile).reshape(-1)[:WINDOW]
        part = part / (1 << profile.bits_per_sample - 1)
        amplitude = np.abs(np.fft.rfft(part * window)) * 2 / window.sum()
        shown[:, column] = np.interp(centre, frequencies, amplitude)
    seconds = sound.present * profile.block_size / profile.sample_rate
    return 20 * np.log10(np.maximum(shown, 1e-6)), edges, seconds


def _sound(figure: Any, axes: Any, segment: ReadableSegment, states: list[BandState]) -> None:
    rate = segment.file.profile.sample_rate
    shown, edges, seconds = levels(segment.file.sound)
    times = np.linspace(0, seconds, shown.shape[1] + 1)
    mesh = axes.pcolormesh(times, edges, shown, vmin=LEAST, vmax=MOST, cmap="magma", rasterized=True)
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, rate / 2)
    axes.set(xlabel="seconds", ylabel="Hz", title="channel 0")
    _edges(axes, states, seconds, fontsize=9)
    if segment.file.mode is not None:
        axes.text(seconds * 0.01, 40, "control", color="white", va="center", fontsize=9)
    figure.colorbar(mesh, ax=axes, label="dBFS", pad=0.01)


def _edges(axes: Any, states: list[BandState], seconds: float, fontsize: int) -> None:
    """Where bands begin and end, and their names."""
    from matplotlib.patheffects import withStroke

    for state in states:
        for edge in (state.low, state.high):
            axes.axhline(max(edge, LOWEST), color="white", linewidth=0.8, linestyle="--", alpha=0.8)
        middle = (max(state.low, LOWEST) * state.high) ** 0.5
        axes.text(
            seconds * 0.01,
            middle,
            state.name,
            color="white",
            va="center",
            fontsize=fontsize,
            fontweight="bold",
            path_effects=[withStroke(linewidth=fontsize / 5, foreground="black")],
        )


def _health(axes: Any, states: list[BandState]) -> None:
    names = [state.name for state in states]
    values = [0.0 if state.health is None else state.health for state in states]
    axes.barh(names, values, color=["#228833" if value > 0.3 else "#ee3377" for value in values])
    for bar, state in enumerate(states):
        said = "not measured" if state.health is None else f"{100 * state.health:.0f} %"
        if state.corrections or state.lost:
            said += f"\n{state.corrections:,} corrected\n{state.lost:,} lost"
        axes.text(0.02, bar, said, va="center", fontsize=8)
    axes.set(xlim=(0, 1), title="health of the bands")


def kinds_of_pages(segment: ReadableSegment) -> list[str]:
    """catalog, data, parity or damaged: of every page, all of which are read."""
    file = segment.file
    kinds = page_kinds(segment)
    for damage in file.damage():
        kinds[damage.page] = "damaged"
    for page in file.missing:
        kinds[page] = "damaged"
    return kinds


def page_kinds(segment: ReadableSegment) -> list[str]:
    """catalog, data or parity: of every page, as it was written."""
    file = segment.file
    if file.map is not None:
        kinds = [PageKind(file.map.kind_of(page)[0]).name.lower() for page in range(file.page_count)]
    else:
        first = -(-segment.data_cell // file.layout.cells)
        kinds = ["catalog"] * first + ["data"] * max(0, file.page_count - 2 * first) + ["catalog"] * first
        del kinds[file.page_count :]
    return kinds


def _map(axes: Any, kinds: list[str], width: int) -> int:
    """A field of pages, ``width`` in a row at most; how many there are in one."""
    from matplotlib.colors import ListedColormap, to_rgb

    numbers = [list(KINDS).index(kind) for kind in kinds]
    width = min(width, len(numbers))
    rows = -(-len(numbers) // width)
    field = np.full(rows * width, np.nan)
    field[: len(numbers)] = numbers
    axes.imshow(
        field.reshape(rows, width),
        cmap=ListedColormap([to_rgb(colour) for colour in KINDS.values()]),
        vmin=-0.5,
        vmax=len(KINDS) - 0.5,
        aspect="auto",
        interpolation="nearest",
    )
    return width


def _pages(axes: Any, segment: ReadableSegment) -> None:
    from matplotlib.patches import Patch

    kinds = kinds_of_pages(segment)
    width = _map(axes, kinds, PAGE_COLUMNS)
    axes.set(title=f"{len(kinds):,} pages of {segment.file.layout.page_size:,} bytes", yticks=[])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("page" if width == len(kinds) else f"page, {width} in a row")
    present = [kind for kind in KINDS if kind in kinds]
    handles = [Patch(color=KINDS[kind], label=f"{kind}: {kinds.count(kind):,}") for kind in present]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

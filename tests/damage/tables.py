"""The figures of a campaign as the tables of PROTECTION.md."""

from __future__ import annotations

from typing import Any

from damage.campaign import LOST, MOVED, RATES
from damage.damages import Scattered
from damage.picture import STYLES


def percent(share: float) -> str:
    """A share that is rounded to 100 % or to 0 only when it is."""
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    text = f"{share:.2%}" if 0.0001 <= share < 0.9999 else f"{share:.4%}"
    return text.replace("%", " %")


def markdown(result: dict[str, Any]) -> str:
    """All tables."""
    report = result["damage"]
    parts = [
        f"{result['values_compared']:,} values compared, {result['values_wrong']} wrong, "
        f"{result['minutes']} minutes"
    ]
    archive = report.get("archive", {})
    if any(damage.name in archive for damage in LOST):
        lines = [
            "| `archive` | files | all rows | rows intact | open and read all, median / most |",
            "|---|" * 1 + "---|" * 4,
        ]
        for damage in LOST:
            if (f := archive.get(damage.name)) is not None:
                seconds = f"{f['seconds_p50']:.1f} / {f['seconds_most']:.1f} s"
                lines.append(
                    f"| {damage.name} | {f['files']} | {f['whole']} | {percent(f['share'])} | {seconds} |"
                )
        parts.append("\n".join(lines))
    moved = []
    for store in ("none", "archive"):
        for damage in MOVED:
            if (f := report.get(store, {}).get(damage.name)) is not None:
                rows = f["rows"]
                moved.append(
                    f"| `{store}`, {damage.name} | {f['files']} | {percent(f['share'])} "
                    f"| {percent(f['cut'] / rows)} | {percent(f['beyond'] / rows)} |"
                )
    if moved:
        head = "| what | files | rows intact | rows whose bytes are gone | lost beyond those |"
        parts.append("\n".join([head, "|---|---|---|---|---|", *moved]))
    shown = [store for store in STYLES if Scattered(RATES[0]).name in report.get(store, {})]
    if shown:
        lines = [
            "| wrong bytes | " + " | ".join(STYLES[store][0] for store in shown) + " |",
            "|---|" + "---|" * len(shown),
        ]
        for rate in RATES:
            cells = []
            for store in shown:
                f = report[store][Scattered(rate).name]
                wrong = f" ({percent(f['wrong_rows'] / f['rows'])} wrong)" if f["wrong_rows"] else ""
                cells.append(percent(f["share"]) + wrong)
            lines.append(f"| {rate:g} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    lines = ["| rows | none | standard | archive |", "|---|---|---|---|"]
    for count, sizes in result["bytes"].items():
        none = sizes["none"]
        extra = [f"{sizes[level]:,} (+ {sizes[level] / none - 1:.1%})" for level in ("standard", "archive")]
        lines.append(f"| {count} | {none:,} | " + " | ".join(extra) + " |")
    parts.append("\n".join(lines))
    return "\n\n".join(parts)

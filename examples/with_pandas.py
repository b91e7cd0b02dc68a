"""A workflow in pandas: clean a frame, keep it in a FLAC file, add to it, compare two versions.

python examples/with_pandas.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.testing import assert_frame_equal

import audiomem_sql as am
import audiomem_sql.pandas  # gives every frame df.audiomem


def readings(day: str, rows: int, seed: int) -> pd.DataFrame:
    """A day of temperatures, as untidy as they come."""
    dice = np.random.default_rng(seed)
    celsius = dice.normal(12, 4, rows).astype("float32")
    celsius[dice.random(rows) < 0.02] = np.nan
    frame = pd.DataFrame({"at": pd.date_range(day, periods=rows, freq="30s", tz="Europe/Lisbon", unit="us")})
    frame["sensor"] = pd.Categorical(dice.choice(["roof", "yard", "cellar"], rows))
    frame["celsius"] = celsius
    frame["battery"] = pd.array(dice.choice([97, 12, None], rows, p=[0.7, 0.2, 0.1]), dtype="Int8")
    return frame


def main(folder: Path) -> pd.DataFrame:
    """The means of each sensor by version; also printed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "readings.flac"
    monday = readings("2026-03-02", 2_880, seed=1)
    monday.audiomem.to_flac(path)
    assert_frame_equal(am.read_flac(path), monday)  # zone, categories, float32, Int8 with what is missing
    with am.open(path) as table:
        table.tag("monday")
    tuesday = readings("2026-03-03", 2_880, seed=2)
    tuesday.audiomem.append_to(path, message="tuesday")

    # Columns and rows are chosen in the file, not in memory.
    low = am.read_flac(path, columns=["at", "sensor"], where="battery < 20 AND sensor <> 'cellar'")
    print(low.groupby("sensor", observed=True)["at"].agg(["count", "max"]), "\n")

    # SQL where SQL is shorter; a column of a table keeps its type.
    days = am.read_sql("SELECT date(at) AS day, avg(celsius) AS mean FROM readings GROUP BY 1", path)
    print(days, "\n")

    frames = {"monday": am.read_flac(path, version="monday"), "now": am.read_flac(path)}
    both = pd.concat(frames, names=["version"])
    answer = both.groupby(["version", "sensor"], observed=True)["celsius"].mean().unstack()
    print(answer)
    return answer


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "with_pandas"))

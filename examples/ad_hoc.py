"""A question that nobody foresaw: DuckDB joins a table in a FLAC file with a Parquet file and a CSV file.

python examples/ad_hoc.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import audiomem_sql as am

QUERY = """
    SELECT station.country, count(*) AS plays, round(avg(track.seconds), 1) AS seconds
      FROM plays
      JOIN read_parquet($tracks) AS track ON track.id = plays.track
      JOIN read_csv($stations) AS station ON station.name = plays.station
     WHERE plays.hour BETWEEN 6 AND 9 AND track.genre = 'jazz'
     GROUP BY ALL ORDER BY plays DESC, country
"""


def make_files(folder: Path, rows: int = 20_000) -> None:
    """A day of radio: plays.flac, tracks.parquet, stations.csv."""
    dice = np.random.default_rng(1)
    stations = {"north": "Norway", "south": "Spain", "west": "Portugal", "coast": "Portugal"}
    hours, tracks = np.sort(dice.integers(0, 24, rows)), dice.integers(0, 500, rows)
    plays = {"hour": hours, "station": dice.choice(list(stations), rows), "track": tracks}
    am.write_flac(plays, folder / "plays.flac").close()
    genres = dice.choice(["jazz", "folk", "opera"], 500)
    tracks = {"id": np.arange(500), "genre": genres, "seconds": dice.normal(240, 60, 500).round(1)}
    pq.write_table(pa.table(tracks), folder / "tracks.parquet")
    lines = "".join(f"{name},{country}\n" for name, country in stations.items())
    (folder / "stations.csv").write_text("name,country\n" + lines)


def main(folder: Path) -> list[tuple[Any, ...]]:
    """The answer, also printed."""
    if not (folder / "plays.flac").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_files(folder)
    with am.open(folder / "plays.flac") as table, duckdb.connect() as connection:
        connection.register("plays", table.dataset())
        files = {"tracks": str(folder / "tracks.parquet"), "stations": str(folder / "stations.csv")}
        answer = connection.sql(QUERY, params=files)
        print(answer)
        return answer.fetchall()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ad_hoc"))

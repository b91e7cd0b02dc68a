"""Packages that are optional: what needs one that is not installed names the extra, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audiomem_sql as am
from audiomem_sql.audio.spectrum import spectrum
from audiomem_sql.errors import MissingExtraError, NotAudioMemoryError
from audiomem_sql.table.table import Table

USES = {
    "am.read_flac(path)": ("pandas", "pandas"),
    "am.open(path).to_pandas()": ("pandas", "pandas"),
    "am.read_sql('SELECT 1', path)": ("pandas", "pandas"),
    "import audiomem_sql.pandas": ("pandas", "pandas"),
    "am.scan_flac(path)": ("polars", "polars"),
    "import audiomem_sql.dask": ("dask", "dask"),
    "import audiomem_sql.ray": ("ray", "ray"),
    "import audiomem_sql.langchain": ("langchain_core", "langchain"),
    "import audiomem_sql.llamaindex": ("llama_index", "llamaindex"),
    "import audiomem_sql.haystack": ("haystack", "haystack"),
    "import audiomem_sql.mcp; audiomem_sql.mcp.check_extra()": ("mcp", "mcp"),
    "import audiomem_sql.sqlalchemy": ("sqlalchemy", "sqlalchemy"),
    "import audiomem_sql.django.base": ("django", "django"),
    "import audiomem_sql.serve.application as s; s.routes(None)": ("fastapi", "serve"),
    "am.attach(None, path)": ("duckdb", "duckdb"),
    "am.register_duckdb(None)": ("duckdb", "duckdb"),
    "Table.create(path + '2', ['a TEXT'], {'modulation': 'spectrum'})": ("scipy", "sound"),
    "am.open(spectrum)": ("scipy", "sound"),
    "draw(am.open(path).snapshot, path + '.png')": ("matplotlib", "sound"),
    "am.open(vectors).map().save(path + '.png')": ("matplotlib", "sound"),
    "import audiomem_sql.remote.archive as archive; archive.restore('s3://bucket/kb.flac')": (
        "boto3",
        "archive",
    ),
    "import audiomem_sql.ingest.documents.pdf as pdf; list(pdf.read(None))": ("pypdfium2", "documents"),
    "import audiomem_sql.jobs.celery_queue as queue; queue.application('amqp://localhost')": (
        "celery",
        "queue",
    ),
    "import audiomem_sql.observe as observe; observe.start()": ("prometheus_client", "observe"),
    "import audiomem_sql.observe as observe; observe.start(otlp=True)": ("opentelemetry", "observe"),
    "documents('audio')": ("mutagen", "media"),
    "documents('image')": ("PIL", "media"),
    "documents('outlook')": ("oxmsg", "mail"),
    "documents('7z')": ("py7zr", "packed"),
    "documents('rar')": ("rarfile", "packed"),
    "import audiomem_sql.remote.commits as commits; commits.open_store('s3://bucket')": ("obstore", "remote"),
}


@pytest.mark.parametrize("use", USES)
def test_the_extra_is_named(use: str, tmp_path: Path) -> None:
    package, extra = USES[use]
    am.write_flac([{"id": 1}], tmp_path / "t.flac").close()
    with Table.create(tmp_path / "s.flac", ["a TEXT"], {"modulation": "spectrum"}) as table:
        table.append([{"a": "x"}])
    with Table.create(tmp_path / "v.flac", ["v FLOAT[2]"]) as table:
        table.append([{"v": [1.0, 2.0]}])
    code = (
        "import sys; path, spectrum, vectors = sys.argv[1:]\n"
        "class Missing:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import audiomem_sql as am\n"
        "from audiomem_sql.errors import MissingExtraError\n"
        "from audiomem_sql.sound.spectrogram import draw\n"
        "from audiomem_sql.table.table import Table\n"
        "def documents(kind):\n"
        "    from audiomem_sql.ingest.documents.content import Content\n"
        "    from audiomem_sql.ingest.documents.registry import readers\n"
        "    list(readers()[kind].documents(Content('a', data=b'x')))\n"
        "assert am.open(path).to_arrow().num_rows == 1\n"
        f"try:\n    {use}\nexcept MissingExtraError as error:\n    print(error)\n"
    )
    files = [str(tmp_path / f"{name}.flac") for name in "tsv"]
    command = [sys.executable, "-c", code, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"pip install 'audiomem-sql[{extra}]'" in done.stdout


def test_music_is_no_table_without_scipy_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtraError("modulation=spectrum needs scipy")

    monkeypatch.setattr(spectrum, "transforms", missing)
    noise = np.random.default_rng(1).normal(0, 0.1, (50_000, 2))
    soundfile.write(tmp_path / "music.flac", noise, 48_000, subtype="PCM_24")
    with pytest.raises(NotAudioMemoryError, match="holds sound"):
        am.open(tmp_path / "music.flac")

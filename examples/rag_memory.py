"""The memory of an assistant: passages found by meaning and by words, and what it knew at any time.

    python examples/rag_memory.py [FOLDER] [MODEL]

MODEL: any model of sentence-transformers; by default `hashing`, which needs nothing and knows words only.
"""

from __future__ import annotations

import sys
from pathlib import Path

from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "source TEXT", "body TEXT SEMANTIC INDEXED", "weight REAL DEFAULT 0.5"]
HANDBOOK = """
vpn.md     To reach the office network from home, start the VPN client and choose gateway A.
vpn.md     If the VPN client shows error 809, restart the router and try again.
travel.md  Trains are booked in the travel tool; the fare is paid back with the next salary.
travel.md  A hotel may cost 120 euros a night, in capitals 160.
"""
NEWS = {"source": "travel.md", "body": "A hotel may cost 140 euros a night everywhere.", "weight": 0.9}
QUESTIONS = ("how do I reach the office network", "what may a hotel cost", "error 809")


def remember(path: Path, model: str) -> None:
    """The handbook, then a change of its rules: each is a version."""
    lines = [line.split(maxsplit=1) for line in HANDBOOK.split("\n") if line]
    rows = [dict(zip(("source", "body"), line, strict=True)) for line in lines]
    with Table.create(path, COLUMNS, {"model": model}) as table:
        table.append(rows, message="handbook")
        table.tag("spring")
        table.append([NEWS], replace="body LIKE 'A hotel%'", message="new rules for hotels")


def recall(table: TableReader, question: str) -> list[str]:
    """The passages that a prompt would get; what weighs too little never comes up."""
    nearest = table.search(question, k=2, where="weight >= 0.3", columns=["source", "body"])
    return [f"[{row['source']}] {row['body']}" for row in nearest.to_pylist()]


def main(folder: Path, model: str = "hashing") -> dict[str, list[list[str]]]:
    """For each question the passages of today, and those that were known in spring."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "memory.flac").exists():
        remember(folder / "memory.flac", model)
    with Table(folder / "memory.flac") as table, table.checkout("spring") as spring:
        answers = {question: [recall(table, question), recall(spring, question)] for question in QUESTIONS}
    for question, (today, then) in answers.items():
        print(f"{question}?", *today, "in spring:", *then, sep="\n  ")
    return answers


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "rag_memory"), *sys.argv[2:3])

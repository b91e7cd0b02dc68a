"""Source code by function and class, in every language."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from audiomem_sql.ingest import rows
from audiomem_sql.ingest.documents import python_code, reader, registry, source_code
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.registry import readers
from audiomem_sql.ingest.documents.source_code import parse_code
from audiomem_sql.ingest.sources import find_sources, kind_version

#: By language: a text, and the lines on which its sections begin with their qualified names.
SAMPLES: dict[str, tuple[str, list[tuple[int, str | None]]]] = {
    "python": (
        """\
import a

# makes
@dec
def f():
    def g(): pass
    return 1

class A:
    'doc'
    x = 1

    def m(self):
        pass

    class B:
        async def n(self): pass

    y = 2

if x:
    def h(): pass
z = 1
""",
        [
            (1, None), (3, "f"), (9, "A"), (13, "A.m"), (16, "A.B"), (17, "A.B.n"), (19, "A"), (21, None),
            (22, "h"), (23, None),
        ],
    ),
    "javascript": (
        """\
import x from 'y';

// adds
export function add(a, b) {
  return a + b;
}
export const twice = (n) => n * 2;
const LIMIT = 3;
/** A box */
export default class Box {
  open() {
    return 1;
  }
}
""",
        [(1, None), (3, "add"), (7, "twice"), (8, None), (9, "Box"), (11, "Box.open")],
    ),
    "typescript": (
        """\
interface Shape { area(): number }
export type Id = string | number;
export namespace geo {
  export class Circle implements Shape {
    area(): number { return this.r }
  }
  export enum Kind { A, B }
}
""",
        [(1, "Shape"), (2, "Id"), (3, "geo"), (4, "geo.Circle"), (5, "geo.Circle.area"), (7, "geo.Kind")],
    ),
    "tsx": (
        "export const App = () => <div>hi</div>;\nfunction F() { return <b/>; }\n",
        [(1, "App"), (2, "F")],
    ),
    "java": (
        """\
package a;
/** Doc. */
@Deprecated
public class Foo<T> {
  /** makes */
  public Foo(int x) { this.x = x; }

  @Override
  public String toString() {
    return "";
  }
  enum Color { RED; int v() { return 1; } }
}
record P(int a) {}
""",
        [(1, None), (2, "Foo"), (5, "Foo.Foo"), (8, "Foo.toString"), (12, "Foo.Color"), (14, "P")],
    ),
    "c": (
        """\
#include <stdio.h>
#define MAX(a,b) ((a)>(b)?(a):(b))
struct point { int x; };
typedef struct { int y; } pt_t;
static int count;
/* adds */
static int *add(int a,
  int b)
{
  return 0;
}
#ifdef X
void (*signal(int s))(int) { return 0; }
#endif
struct point *make(void) { return 0; }
enum e { A };
""",
        [
            (1, None), (2, "MAX"), (3, "point"), (4, "pt_t"), (5, None), (6, "add"), (12, None),
            (13, "signal"),
            (15, "make"), (16, "e"),
        ],
    ),
    "c++": (
        """\
namespace a {
class Foo : public Bar {
 public:
  int get() const { return x_; }
  bool operator==(const Foo& o) const { return true; }
 private:
  int x_;
};
}
int a::Foo::go(int x) {
  return x;
}
template <typename T>
T max(T a, T b) { return a; }
int& ref() { static int x; return x; }
""",
        [
            (1, "a"), (2, "a::Foo"), (4, "a::Foo::get"), (5, "a::Foo::operator=="), (6, "a::Foo"),
            (10, "a::Foo::go"), (13, "max"), (15, "ref"),
        ],
    ),
    "go": (
        """\
package main

// Server serves.
type Server struct {
	port int
}

type (
	A int
	B struct{}
)

// Run runs.
func (s *Server) Run(ctx context.Context) error {
	return nil
}
func (m Map[K]) Get() {}
""",
        [(1, None), (3, "Server"), (8, None), (9, "A"), (10, "B"), (13, "Server.Run"), (17, "Map.Get")],
    ),
    "rust": (
        """\
use std::io;
/// A point
#[derive(Debug)]
pub struct Point { x: i32 }

impl fmt::Display for Point {
    /// shows
    fn fmt(&self) -> i32 {
        1
    }
}
impl<T> Stack<T> { pub fn push(&mut self) {} }
mod tests {
  #[test]
  fn it() {}
}
macro_rules! m { () => {} }
""",
        [
            (1, None), (2, "Point"), (6, "Point"), (7, "Point::fmt"), (12, "Stack"), (13, "tests"),
            (14, "tests::it"), (17, "m"),
        ],
    ),
    "c#": (
        """\
using System;
namespace A.B {
  [Serializable]
  public class Foo {
    public int X { get; set; }
    public void Bar(int a) { }
  }
  enum E { A }
}
""",
        [(1, None), (2, "A.B"), (3, "A.B.Foo"), (5, "A.B.Foo.X"), (6, "A.B.Foo.Bar"), (8, "A.B.E")],
    ),
    "ruby": (
        """\
require 'x'
# greets
module A
  class B < C
    def hi(n)
      1
    end
    def self.make; end
  end
end
def top
end
""",
        [(1, None), (2, "A"), (4, "A.B"), (5, "A.B.hi"), (8, "A.B.make"), (11, "top")],
    ),
    "php": (
        """\
<?php
namespace App;
/** doc */
class Foo {
  public function bar() { return 1; }
}
function f() {}
interface I { function z(); }
""",
        [(1, None), (3, "Foo"), (5, "Foo::bar"), (7, "f"), (8, "I")],
    ),
    "shell": (
        "#!/bin/sh\nset -e\n# starts\nstart() {\n  echo hi\n}\nfunction stop { echo no; }\nstart\n",
        [(1, None), (3, "start"), (7, "stop"), (8, None)],
    ),
    "sql": (
        """\
-- people
CREATE TABLE app.people (
  id INT PRIMARY KEY
);
INSERT INTO x VALUES (1);
CREATE VIEW v AS SELECT 1;
CREATE INDEX i ON t (a);
CREATE FUNCTION f(a int) RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql;
SELECT 1;
""",
        [(1, "app.people"), (5, None), (6, "v"), (7, "i"), (8, "f"), (9, None)],
    ),
}  # fmt: skip


def outline(document: Document) -> list[tuple[int | None, str | None]]:
    return [(section.line, section.heading) for section in document.sections]


def document_in(name: str, text: str) -> Document:
    reader = registry.reader_of(name, Path(name).suffix, text.encode())
    assert reader is not None
    (document,) = reader.documents(Content(name, data=text.encode()))
    return document


def check(text: str, document: Document) -> None:
    """No line is lost, and none is in two sections."""
    lines = text.split("\n")
    rebuilt = [""] * len(lines)
    for section in document.sections:
        assert section.line is not None
        for number, line in enumerate(section.text.split("\n"), section.line - 1):
            assert not rebuilt[number]
            rebuilt[number] = line
    assert [line.rstrip() for line in rebuilt] == [line.rstrip() for line in lines]


@pytest.mark.parametrize("language", SAMPLES)
def test_definitions(language: str) -> None:
    text, expected = SAMPLES[language]
    document = parse_code(text, language)
    assert outline(document) == expected
    check(text, document)
    for section in document.sections:
        assert [name for name in section.parents if not (section.heading or "").startswith(name)] == []


def test_every_language_has_a_sample() -> None:
    assert set(SAMPLES) == set(source_code.LANGUAGES)


def test_python_is_read_by_its_own_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = SAMPLES["python"]
    monkeypatch.setattr(source_code, "_parser", lambda name: None)
    assert outline(document_in("a.py", text)) == expected
    assert document_in("a.py", text).sections[5].parents == ("A", "A.B")
    assert outline(document_in("a.py", "def f(:\n  pass\n")) == [(1, None)]


def test_python_that_does_not_parse_is_read_by_the_grammar() -> None:
    text, expected = SAMPLES["python"]
    assert outline(document_in("a.py", f"{text}print 1\n")) == expected


def test_other_code_without_its_grammar_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "int f() {\n}\n\nTitle\n-----\nint g;\n"
    monkeypatch.setattr(source_code, "_parser", lambda name: None)
    (section,) = document_in("a.c", text).sections
    assert (section.line, section.heading, section.text) == (1, None, text.rstrip())


def test_a_grammar_that_is_installed_later_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind_version("java") == ("java", "tree_sitter", "tree_sitter_java")
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    assert kind_version("java") == ("java",)
    assert kind_version("markdown") == ("markdown", 2)


@pytest.mark.parametrize(
    ("first_line", "kind"),
    [
        ("#!/bin/sh", "shell"),
        ("#!/usr/bin/env python3", "python"),
        ("#!/usr/bin/env node", "javascript"),
        ("#!/usr/bin/ruby -w", "ruby"),
    ],
)
def test_scripts_are_known_by_their_first_line(first_line: str, kind: str) -> None:
    reader = registry.reader_of("run", "", first_line.encode())
    assert reader is not None
    assert reader.kind == kind


def test_the_language_of_a_script() -> None:
    script = "#!/usr/bin/env bash\nrun() {\n  ls\n}\n"
    assert outline(document_in("run", script)) == [(1, None), (2, "run")]


@pytest.mark.parametrize("module", [ast, source_code, rows])
def test_real_modules(module: object, tmp_path: Path) -> None:
    path = Path(sys.modules[module.__name__].__file__)  # type: ignore[attr-defined]
    text = path.read_text()
    check(text, document_in("a.py", text))
    (source,) = find_sources([path])
    lines = text.split("\n")
    titles = set()
    for row in rows.rows_of(source):
        line = int(row["place"].removeprefix("line="))
        assert row["body"].split("\n")[0] in lines[line - 1]
        titles.add(row["title"])
    functions = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert functions <= titles


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "-" * 20_000 + "1",
        "a = " + "1+" * 5000 + "1",
        "if x:\n" * 500,
        "class A: " * 100,
        "\x0c\n" * 99,
    ],
)
def test_code_that_is_nested_without_end(text: str) -> None:
    for name in ("a.py", "a.js", "a.c"):
        document = document_in(name, text)
        assert "".join(section.text for section in document.sections).split() == text.split()


def test_what_programs_wrote_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_code, "CHARACTERS_LIMIT", 30)
    monkeypatch.setattr(python_code, "CHARACTERS_LIMIT", 30)
    for name in ("a.py", "a.js"):
        assert outline(document_in(name, "class A {}\n" * 9)) == [(1, None)]


def test_readers_of_code_are_listed() -> None:
    assert set(source_code.LANGUAGES) <= set(readers())


def test_a_comment_behind_code_belongs_to_that() -> None:
    assert outline(parse_code("int a; // x\nvoid f() {\n}\n", "c")) == [(1, None), (2, "f")]


def test_a_grammar_that_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "int f() {\n}\n" * 3000
    assert len(parse_code(text, "c").sections) == 3000
    monkeypatch.setattr(source_code, "_PARSE_SECONDS", -1.0)
    assert outline(parse_code(text, "c")) == [(1, None)]
    monkeypatch.undo()
    assert len(parse_code(text, "c").sections) == 3000  # the parser goes on with another text

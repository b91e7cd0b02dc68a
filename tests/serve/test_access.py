"""Tokens, their scopes, and the limits of whoever asks."""

from __future__ import annotations

import base64
import json
import os
import stat
import time
from pathlib import Path

import httpx
import pytest

from audiomem_sql.errors import OptionError
from audiomem_sql.serve.rates import Rates
from audiomem_sql.serve.settings import Limits, Settings
from audiomem_sql.serve.tokens import TokenFile, add_token, remove_token

from .conftest import serving


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_file_has_digests_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    token = add_token(path, "one", {"kb": ["read"]})
    other = add_token(path, "two", {"*": ["write"]}, expires=time.time() + 60)
    content = (tmp_path / "tokens.json").read_text()
    assert token not in content
    assert other not in content
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    tokens = TokenFile(path)
    found = tokens.find(token)
    assert found is not None
    assert found.name == "one"
    assert [found.allows(*each) for each in (("kb", "read"), ("kb", "write"), ("x", "read"))] == [
        True,
        False,
        False,
    ]
    second = tokens.find(other)
    assert second is not None
    assert second.allows("anything", "write")
    for wrong in ("", token[:-1], token + "x", found.digest, "\udcff"):
        assert tokens.find(wrong) is None
    remove_token(path, "one")
    assert tokens.find(token) is None
    assert tokens.find(other) is not None
    with pytest.raises(OptionError, match="no token one"):
        remove_token(path, "one")
    with pytest.raises(OptionError, match="there is a token two"):
        add_token(path, "two", {})
    with pytest.raises(OptionError, match="fly"):
        add_token(path, "three", {"kb": ["fly"]})
    with pytest.raises(OptionError, match="needs a name"):
        add_token(path, "a\nb", {})


def test_a_token_that_is_over(tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    token = add_token(path, "old", {"*": ["read"]}, expires=time.time() - 1)
    assert TokenFile(path).find(token) is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"tokens": [1]}', '{"tokens": [{"name": "a"}]}', "\x00"]
)
def test_what_is_no_file_of_tokens(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens.json").write_text(content)
    with pytest.raises(OptionError, match="no file of tokens"):
        TokenFile(str(tmp_path / "tokens.json"))


def test_scopes(table_path: Path, keyed_path: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    reader = add_token(path, "reader", {"kb": ["read"]})
    files = add_token(path, "files", {"keyed": ["file"]})
    with serving(table_path, keyed_path, tokens=path) as server:
        get = server.client.get
        assert (
            get("/health").status_code == get("/ready").status_code == get("/openapi.json").status_code == 200
        )
        anonymous = get("/tables")
        assert anonymous.status_code == 401
        assert "Bearer" in anonymous.headers["www-authenticate"]
        assert get("/tables", headers=bearer("am_wrong")).status_code == 401
        assert get("/tables", headers={"Authorization": "Digest x"}).status_code == 401
        assert get("/tables", headers={"Authorization": "Basic !"}).status_code == 401
        assert get("/tables", params={"token": reader}).status_code == 401  # for files only
        assert [each["name"] for each in get("/tables", headers=bearer(reader)).json()["tables"]] == ["kb"]
        basic = base64.b64encode(f"anybody:{reader}".encode()).decode()
        assert get("/tables/kb", headers={"Authorization": f"Basic {basic}"}).status_code == 200
        for way, status in (
            ("/tables/kb/rows", 200),
            ("/tables/keyed/rows", 404),
            ("/tables/nope/rows", 404),
            ("/tables/kb/file", 403),
        ):
            assert get(way, headers=bearer(reader)).status_code == status
        assert get("/tables/keyed/file", headers=bearer(files)).status_code == 200
        assert get(f"/tables/keyed/file?token={files}").status_code == 200
        assert get("/tables/keyed/rows", headers=bearer(files)).status_code == 403
        assert get("/tables", headers=bearer(files)).json() == {"tables": []}
        sql = {"sql": "SELECT count(*) FROM keyed"}
        assert server.client.post("/sql", json=sql, headers=bearer(reader)).status_code == 400
        assert server.client.post("/sql", json=sql, headers=bearer(files)).status_code == 403
        hidden = {"sql": "SELECT * FROM audiomem_snapshots('keyed')"}
        assert server.client.post("/sql", json=hidden, headers=bearer(reader)).status_code == 400
        post = server.client.post("/tables/kb/rows", json=[{}], headers=bearer(reader))
        assert post.status_code == 405  # nothing can be written here
        remove_token(path, "reader")
        assert get("/tables/kb", headers=bearer(reader)).status_code == 401
        assert "reader" in server.log[5] or any('"token": "reader"' in line for line in server.log)
        assert reader not in "".join(server.log)
        assert "count(" not in "".join(server.log)


def test_a_reader_cannot_write(table_path: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    token = add_token(path, "reader", {"kb": ["read"]})
    with serving(table_path, tokens=path, writable=True) as server:
        for answer in (
            server.client.post("/tables/kb/rows", json=[{"title": "x"}], headers=bearer(token)),
            server.client.put("/tables/kb/sources?source=a", content=b"x", headers=bearer(token)),
        ):
            assert answer.status_code == 403
            assert "write" in answer.json()["detail"]


def test_writing_needs_tokens() -> None:
    with pytest.raises(OptionError, match="needs tokens"):
        Settings(writable=True)
    with pytest.raises(OptionError, match="belong together"):
        Settings(certificate="a.pem")
    with pytest.raises(OptionError, match="rows"):
        Limits(rows=0)


def test_guesses_are_slowed_down(table_path: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    token = add_token(path, "reader", {"kb": ["read"]})
    with serving(table_path, tokens=path) as server:
        statuses = [server.client.get("/tables", headers=bearer(f"am_{n}")).status_code for n in range(25)]
        assert statuses[:20] == [401] * 20
        assert 429 in statuses[20:]
        refused = server.client.get("/tables", headers=bearer(token))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert json.loads(server.log[-1])["status"] == 429


def test_rates(table_path: Path) -> None:
    with serving(table_path, limits=Limits(rate=0.5, burst=3)) as server:
        answers = [server.client.get("/tables") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
        assert answers[-1].headers["retry-after"] in ("1", "2", "3")
        assert server.client.get("/health").status_code == 200
    rates = Rates(1000.0, 1)
    rates.count("a")
    assert rates.wait("a") > 0
    assert rates.wait("b") == 0
    time.sleep(0.002)
    assert rates.wait("a") == 0


def test_other_names_of_this_machine_are_refused(table_path: Path) -> None:
    """A page of a stranger, whose name leads to 127.0.0.1, reads nothing."""
    with serving(table_path) as server:
        assert server.client.get("/tables", headers={"Host": "evil.example:8000"}).status_code == 421
        assert server.client.get("/tables", headers={"Host": "localhost:1"}).status_code == 200
        assert server.client.get("/tables", headers={"Host": ""}).status_code in (400, 421)
    with serving(table_path, hosts=("kb.example",)) as server:
        assert server.client.get("/tables", headers={"Host": "KB.example"}).status_code == 200
        assert server.client.get("/tables").status_code == 421


def test_pages_of_an_origin(table_path: Path) -> None:
    preflight = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    with serving(table_path, origins=("https://page.example",)) as server:
        answer = server.client.options("/sql", headers=preflight)
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        other = server.client.get("/tables", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
    with serving(table_path) as server:
        answer = server.client.options("/sql", headers=preflight)
        assert "access-control-allow-origin" not in answer.headers
    assert httpx.codes.is_error(answer.status_code)

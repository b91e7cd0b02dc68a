"""What axe finds in the page, in its views and states: nothing. ``make serve-axe``."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from .conftest import Running
from .test_page import KEEP, ROOT, browser, go, site  # noqa: F401  # fixtures

AXE = ROOT / ".venv/npm/node_modules/axe-core/axe.min.js"
VIEWS = (
    "q=checksum",
    "q=cell&row=2",
    "q=absent&mode=words",
    "view=rows",
    "view=rows&where=nope",
    "view=rows&version=first",
    "view=sql",
    "view=sql&sql=SELECT+1",
    "view=sound",
)


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_found(
    site: tuple[Running, str],  # noqa: F811
    browser: Browser,  # noqa: F811
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    server, token = site
    viewport = {"width": width, "height": 700}
    # axe is put into the page past its Content-Security-Policy
    with browser.new_context(color_scheme=scheme, viewport=viewport, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(server.address)
        page.locator("#token-dialog").wait_for()
        check(page)
        context.add_init_script(KEEP % token)
        for view in VIEWS:
            go(page, f"table=kb&{view}")
            if view == "view=sound":
                listen(page)
            check(page)
            assert page.evaluate("document.documentElement.scrollWidth") == width


def listen(page: Page) -> None:
    """Have all that the view of the sound can show."""
    page.click("#listen")
    page.locator("#played tbody tr, #chapters li").first.wait_for(state="attached")
    page.click("#player summary")
    page.click("#damage-read")
    page.locator("#damage-map").wait_for()


def check(page: Page) -> None:
    """Have axe look at the page as it is."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document)")
    assert len(found["passes"]) > 10
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []

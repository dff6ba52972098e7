"""The dashboard in a real browser: quiet, inert, legible; the login and the links lead on."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import until
from tests.dashboard.server import PASSWORD, Served
from tests.report.studies import HOSTILE
from tests.report.test_browser import OVERFLOW

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

Open = Callable[..., "Page"]


@pytest.fixture
def show(browser: "Browser", noise: list[str]) -> Iterator[Open]:
    """Open a page of a dashboard in a fresh window, and note what it says and asks for."""
    windows = []

    def open_(served: Served, path: str, scheme: Any = "light") -> "Page":
        window = browser.new_context(color_scheme=scheme)
        windows.append(window)
        page = window.new_page()
        page.on("console", lambda said: noise.extend(
            [] if "GL Driver Message" in said.text else [f"{said.type}: {said.text}"]
        ))  # fmt: skip
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: noise.append(f"dialog: {dialog.message}"))
        local = (f"{served.address}/", "data:", "blob:")
        page.on("request", lambda asked: noise.extend(
            [] if asked.url.startswith(local) else [asked.url]
        ))  # fmt: skip
        page.goto(served.address + path)
        return page

    yield open_
    for window in windows:
        window.close()


def test_optunas_pages_are_quiet(open_one: Served, show: Open, noise: list[str]) -> None:
    """Each of its pages is drawn under our policy: no error, no request to others."""
    page = show(open_one, "/dashboard")
    page.get_by_text("rich", exact=False).first.wait_for()
    assert page.locator("#hpo-bar .report").is_hidden()
    page.goto(f"{open_one.address}/dashboard/studies/1")
    page.wait_for_selector(".js-plotly-plot .scatterlayer .trace")
    page.get_by_text("accuracy").first.wait_for(state="attached")  # the objective has its name
    page.goto(f"{open_one.address}/dashboard/studies/1/smartSelection")  # parallel coordinates
    page.wait_for_selector(".js-plotly-plot .parcoords", state="attached")
    page.goto(f"{open_one.address}/dashboard/studies/1/trials?numbers=12")
    page.get_by_text("peak memory in GB").wait_for()
    assert noise == []


def test_a_violation_would_be_heard(open_one: Served, show: Open, noise: list[str]) -> None:
    """An image of another server, a script in the page, a form that goes elsewhere: all stopped."""
    page = show(open_one, "/dashboard")
    page.evaluate(
        "() => { new Image().src = 'https://example.org/x.png';"
        " const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        " document.body.append(s); }"
    )
    until(page, lambda: len([each for each in noise if "Content Security Policy" in each]) >= 2)
    assert page.evaluate("() => window.hacked") is None


def test_what_nobody_may_do_is_not_offered(open_one: Served, show: Open) -> None:
    """Read-only: neither to delete, rename or create, nor to edit a note."""
    page = show(open_one, "/dashboard")
    page.get_by_role("button", name="Reload").wait_for()
    for icon in ("DriveFileRenameOutlineIcon", "DeleteIcon", "AddBoxIcon"):
        buttons = page.locator(f"button:has([data-testid={icon}])")
        buttons.first.wait_for(state="attached")  # they come with the studies
        assert not any(each.is_visible() for each in buttons.all()), icon
    page.goto(f"{open_one.address}/dashboard/studies/1/note")
    edit = page.locator("button:has([data-testid=EditIcon])")
    edit.wait_for(state="attached")
    assert edit.is_hidden()
    page.get_by_text("read-only").wait_for()


def test_links_lead_from_page_to_page(open_one: Served, show: Open, noise: list[str]) -> None:
    """List, Optuna's pages, report and back; the link follows Optuna's own moves."""
    page = show(open_one, "/")
    page.get_by_role("link", name="rich", exact=True).click()
    page.locator("#hpo-bar .report").click()
    page.wait_for_selector("html[data-drawn=yes]")
    assert page.inner_text("h1") == "rich"
    page.get_by_role("link", name="dashboard").click()
    page.wait_for_url("**/dashboard/studies/1")
    page.locator("#hpo-bar").get_by_text("Studies").click()
    page.get_by_label("Compare rich").check()
    page.get_by_label("Compare failed").check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_selector("html[data-drawn=yes]")
    assert page.inner_text("h1") == "2 studies compared"
    page.goto(f"{open_one.address}/dashboard")
    page.get_by_role("link", name="failed").or_(page.get_by_text("2. failed")).first.click()
    page.wait_for_selector("#hpo-bar .report:not([hidden])")
    assert page.locator("#hpo-bar .report").get_attribute("href") == "/report?id=2"
    assert noise == []


def test_the_bar_covers_no_name(guarded: Served, show: Open) -> None:
    """However long a study's name is, and with every link there is: on a phone, and wider."""
    page = show(guarded, "/login?next=/dashboard/studies/4")
    page.get_by_label("Password or token").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("#hpo-bar .report").wait_for()
    title = page.locator("header .MuiTypography-noWrap")
    title.wait_for()
    for width in (700, 360):
        page.set_viewport_size({"width": width, "height": 740})
        until(page, lambda at=width: _is_clear(title, page.locator("#hpo-bar"), at))  # type: ignore[misc]


def _is_clear(title: "Locator", links: "Locator", width: int) -> bool:
    """Say whether a title and a bar lie apart, and within the width."""
    name, bar = title.bounding_box(), links.bounding_box()
    if name is None or bar is None:
        return False
    is_left = name["x"] + name["width"] <= bar["x"]
    is_apart = is_left or name["y"] + name["height"] <= bar["y"]
    return is_apart and name["width"] > 50 and bar["x"] + bar["width"] <= width


def _has_link(label: str) -> bool:
    return "<a href='javascript:" in label.replace("\N{WORD JOINER}", "")


def test_hostile_names_stay_inert(open_one: Served, show: Open, noise: list[str]) -> None:
    """On our list, in Optuna's pages and in the report (A3)."""
    page = show(open_one, "/")
    assert HOSTILE[1] in page.inner_text("main")
    page.goto(f"{open_one.address}/dashboard/studies/4")
    page.wait_for_selector(".js-plotly-plot .barlayer .trace")
    labels = page.locator(".js-plotly-plot text")
    until(page, lambda: any(map(_has_link, labels.all_text_contents())))
    assert page.locator("svg a").count() == 0, "plotly would make links of names"
    page.goto(f"{open_one.address}/dashboard/studies/4/trials?numbers=3")
    page.get_by_text("window.hacked").first.wait_for()
    assert page.locator("img[src=x], a[href^=javascript]").count() == 0
    page.goto(f"{open_one.address}/")
    page.get_by_role("listitem").filter(has_text="window.hacked=2").get_by_text("Report").click()
    page.wait_for_selector("html[data-drawn=yes]")
    assert HOSTILE[1] in page.inner_text("h1")
    assert page.evaluate("() => window.hacked") is None
    assert noise == []


def test_the_login_refuses_and_admits(guarded: Served, show: Open, noise: list[str]) -> None:
    """A wrong password is told; the right one leads to what was asked for; signing out ends it."""
    page = show(guarded, "/report?study=rich")
    page.get_by_label("Password or token").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert page.inner_text("[role=alert]") == "That is neither the password nor the token."
    assert [each for each in noise if "401" in each]
    noise.clear()
    page.get_by_label("Password or token").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("html[data-drawn=yes]")
    assert page.inner_text("h1") == "rich"
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.goto(f"{guarded.address}/dashboard")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto(f"{guarded.address}/dashboard")
    assert page.get_by_role("button", name="Sign in").is_visible()
    assert noise == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_our_pages_fit_and_follow_the_system(
    guarded: Served, show: Open, noise: list[str], scheme: str
) -> None:
    """On a desk and on a phone nothing is scrolled sideways; text is dark on light, or turned."""
    page = show(guarded, "/login", scheme=scheme)
    paper = {"light": "rgb(255, 255, 255)", "dark": "rgb(19, 21, 24)"}[scheme]
    for place in ("/login", "/"):
        for width in (1400, 360):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(OVERFLOW) == 0, (place, width)
        assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == paper
        if place == "/login":
            page.get_by_label("Password or token").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.get_by_role("heading", name="Studies").wait_for()
    assert noise == []

"""The page in a real browser: drawn, quiet, inert, legible; its buttons do what they say."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hpo.confirmation import BASELINE
from hpo.report.make import make, write
from hpo.report.subject import load_subjects
from hpo.report.summary import snippets
from hpo.trials import MISTAKES
from tests.browser import until
from tests.report.studies import (
    DEFAULT,
    confirm,
    landscape,
    make_study,
    params_of,
    trial,
    url_of,
)
from tests.report.test_formats import make_hostile

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]
KINDS = ("rich", "hostile", "empty", "failed", "compared", "mistaken")
LABELS = ['ORG-"q\'uote"', "Ort (Stadt)", "drücken", "a" * 60]
DRAWN = """() => [...document.querySelectorAll(".canvas")].map((canvas) => ({
    name: canvas.closest("[data-section]").dataset.section,
    drawn: canvas.dataset.drawn,
    traces: (canvas.data || []).length,
    marks: canvas.querySelectorAll(
        ".scatterlayer path, .barlayer path, .contourlayer path").length,
    fits: canvas.querySelector(".main-svg").getBoundingClientRect().width
        <= canvas.closest(".plot").getBoundingClientRect().width + 1,
}))"""
FITTED = f"""() => document.documentElement.dataset.drawn === "yes"
    && ({DRAWN})().every((each) => each.fits)"""
_LISTEN = """(at) => {
    const button = document.querySelectorAll(".copy")[at];
    window.said = new Promise((done) => new MutationObserver(() => done(button.textContent))
        .observe(button, {childList: true, characterData: true, subtree: true}));
}"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of each kind of study."""
    folder = tmp_path_factory.mktemp("pages")
    default = trial(60, 0.5, params=DEFAULT)
    rich = [*landscape(60), default, trial(61, 0.99, params=params_of())]
    make_study(folder, rich, name="rich", facts={BASELINE: DEFAULT})
    confirm(folder, {(3e-4, 16, 3): [0.9, 0.92], (3e-5, 16, 3): [0.5, 0.53]}, name="rich")
    make_study(folder, name="empty")
    failed = [trial(0, state="FAIL", attrs={"reason": "diverged", "error": "E: nan"})]
    make_study(folder, failed, name="failed")
    mistakes = {
        "labels": LABELS, "rows": 24, "wrong": 3, "worst": [],
        "counts": [[0, 0, 11], [0, 1, 1], [1, 1, 10], [2, 2, 4], [3, 3, 5], [0, -1, 2]],
    }  # fmt: skip
    several = [trial(n, n / 10, attrs={MISTAKES: mistakes}) for n in range(8)]
    make_study(folder, several, name="mistaken")
    names = {kind: [kind] for kind in ("rich", "empty", "failed", "mistaken")}
    names |= {"hostile": [make_hostile(folder)], "compared": ["rich", "failed", "empty"]}
    made = {}
    for kind, studies in names.items():
        made[kind] = folder / f"{kind}.html"
        write(made[kind], make(studies, url_of(folder), "html", lambda _: None))
    return made


@pytest.fixture
def show(browser: "Browser", pages: dict[str, Path], noise: list[str]) -> Iterator[Open]:
    """Open a page in a fresh window, wait for its figures, and note what it says and asks for."""
    windows = []

    def open_(kind: str, width: int = 1200, script: str | None = None, **options: Any) -> "Page":
        window = browser.new_context(viewport={"width": width, "height": 900}, **options)
        windows.append(window)
        page = window.new_page()
        if script is not None:
            page.add_init_script(script)
        address = pages[kind].as_uri()
        page.on("console", lambda said: noise.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: noise.append(f"dialog: {dialog.message}"))
        page.on("request", lambda asked: noise.extend({asked.url} - {address}))
        page.goto(address)
        page.wait_for_selector("html[data-drawn=yes]")
        return page

    yield open_
    for window in windows:
        window.close()


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_drawn_in_silence(show: Open, noise: list[str], kind: str) -> None:
    """Each figure has marks and fits; nothing is said, nothing is asked for."""
    page = show(kind)
    figures = page.evaluate(DRAWN)
    wanted = ("drawn", "marks", "fits")
    assert [each for each in figures if not all(each[name] for name in wanted)] == []
    least = {"rich": 12, "hostile": 12, "empty": 0, "failed": 1, "compared": 2, "mistaken": 6}
    assert len(figures) >= least[kind]
    assert noise == []


def test_noise_would_be_heard(show: Open, noise: list[str]) -> None:
    """An error, a request and a script of a name's would be noticed; the policy stops them."""
    page = show("empty")
    page.evaluate("() => { new Image().src = 'https://example.org/x.png'; }")
    page.evaluate("() => { console.error('heard'); }")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        " document.body.append(s); }"
    )
    for text in ("heard", "Content Security Policy"):
        until(page, lambda wanted=text: any(wanted in each for each in noise))  # type: ignore[misc]
    assert page.evaluate("() => window.hacked") is None


def test_hostile_names_stay_inert(show: Open, noise: list[str]) -> None:
    """Also under the pointer: what appears is text, without a link."""
    page = show("hostile")
    labels = page.evaluate(
        """() => {
            const found = [];
            for (const canvas of document.querySelectorAll(".canvas")) {
                const index = canvas.data.findIndex((trace) => trace.hoverinfo === "text");
                if (index < 0) continue;
                Plotly.Fx.hover(canvas, [{ curveNumber: index, pointNumber: 0 }]);
                found.push(...[...canvas.querySelectorAll(".hovertext")].map((e) => e.textContent));
            }
            return found;
        }"""
    )
    assert any("<script>" in each for each in labels)
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("svg a, main img, main iframe").count() == 0
    assert "</script><script>" in page.inner_text("h1")
    assert noise == []


def test_names_of_a_matrix_stay_whole(show: Open) -> None:
    """On a phone, too: broken as words are, above columns only; rows' names stay in sight."""
    page = show("mistaken", 390)
    matrix = page.locator("table.matrix")
    heads = matrix.locator("th span")
    assert heads.all_inner_texts() == [*LABELS, "no entity"] * 2
    lines = heads.evaluate_all("""(all) => all.map((each) => Math.round(
        each.getBoundingClientRect().height / parseFloat(getComputedStyle(each).lineHeight)))""")
    assert [lines[at] for at in (0, 1, 2, 4)] == [2, 2, 1, 2]  # at a hyphen, at blanks
    assert [lines[at] for at in (5, 6, 7, 9)] == [1] * 4
    assert max(lines) == lines[3] < 8
    assert page.evaluate(OVERFLOW) == 0
    row = matrix.locator("tbody th").first
    before = row.bounding_box()
    box = page.locator(".scroll", has=matrix)
    assert box.evaluate("(each) => { each.scrollLeft = 200; return each.scrollLeft; }") > 50
    assert row.bounding_box() == before


def test_paper_has_no_use_for_headings_to_select(show: Open) -> None:
    """The hint is on the screen and not in print, where tall figures take less of a sheet."""
    page = show("mistaken", 680)
    hint = page.locator("[data-section=trials] caption .hint")
    tall = page.locator("[data-section=best-so-far] .canvas").first
    assert "select a heading to sort by it" in hint.inner_text()
    assert tall.evaluate("(each) => each.clientHeight") == 360
    page.emulate_media(media="print")
    page.wait_for_function(FITTED)
    assert not hint.is_visible()
    assert tall.evaluate("(each) => each.clientHeight") == 252
    page.emulate_media(media="screen")
    page.wait_for_function(FITTED)
    assert tall.evaluate("(each) => each.clientHeight") == 360


@pytest.mark.parametrize("kind", ["rich", "hostile", "compared", "mistaken"])
def test_no_width_overflows(show: Open, kind: str) -> None:
    """On a desk, a tablet and a phone, nothing has to be scrolled sideways."""
    page = show(kind, 1600)
    for width in (1600, 700, 360):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(FITTED)
        assert page.evaluate(OVERFLOW) == 0


@pytest.mark.parametrize("kind", ["rich", "hostile"])
def test_print(show: Open, kind: str) -> None:
    """On A4 nothing overflows; figures are drawn anew for its width, in light colours."""
    page = show(kind, 680, color_scheme="dark")  # A4 within its margins
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_function(FITTED)
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert _axis_colour(page) in {"rgb(80, 84, 90)", ""}
    assert page.pdf(format="A4").startswith(b"%PDF")


def _axis_colour(page: "Page") -> str:
    found: str = page.evaluate(
        "() => { const t = document.querySelector('.xtick text');"
        " return t ? getComputedStyle(t).fill : ''; }"
    )
    return found


def test_dark_and_light(show: Open) -> None:
    """The page and its figures follow the system, also while they are shown."""
    page = show("rich", color_scheme="light")
    paper = "() => getComputedStyle(document.body).backgroundColor"
    assert (page.evaluate(paper), _axis_colour(page)) == ("rgb(255, 255, 255)", "rgb(98, 103, 111)")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "() => document.documentElement.dataset.drawn === 'yes' && getComputedStyle("
        "document.querySelector('.xtick text')).fill === 'rgb(154, 160, 168)'"
    )
    assert page.evaluate(paper) == "rgb(19, 21, 24)"


@pytest.mark.parametrize("script", [None, "delete Navigator.prototype.clipboard"])
def test_copy_buttons_copy(show: Open, pages: dict[str, Path], script: str | None) -> None:
    """Both, in a page from a mail attachment; also where the newer way to copy is missing."""
    page = show("rich", script=script)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    (subject,) = load_subjects(["rich"], url_of(pages["rich"].parent), lambda _: None)
    written = snippets(subject)
    assert written is not None
    page.evaluate(
        "() => { const area = document.createElement('textarea'); area.id = 'paste';"
        " document.body.append(area); }"
    )
    for index, expected in enumerate(written):
        page.evaluate(_LISTEN, index)  # it says so for a moment only
        page.locator(".copy").nth(index).click()
        assert page.evaluate("() => window.said") == "Copied"
        page.locator("#paste").fill("")
        page.locator("#paste").press("Control+V")
        assert page.input_value("#paste") == expected


def test_tables_are_sorted_by_hand_and_by_key(show: Open) -> None:
    """Numbers as numbers, gaps last; a second press turns the order, and it is announced."""
    page = show("rich")
    table = page.locator("[data-section=trials] table")
    head = table.locator("th", has_text="learning_rate")

    def column() -> list[float]:
        cells = table.locator("tbody tr td:nth-child(3)").all()
        return [float(cell.get_attribute("data-value") or "nan") for cell in cells]

    before = column()
    head.locator("button").click()
    assert (head.get_attribute("aria-sort"), column()) == ("descending", sorted(before)[::-1])
    head.locator("button").press("Enter")
    assert (head.get_attribute("aria-sort"), column()) == ("ascending", sorted(before))
    table.locator("th", has_text="state").locator("button").press("Space")
    states = table.locator("tbody tr td:last-child").all_inner_texts()
    assert states == sorted(states)
    assert head.get_attribute("aria-sort") is None

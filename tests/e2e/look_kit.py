"""Windows of a real browser, and what is wrong with what they show.

Each question is asked by a short script through the debugging protocol, which works with the page's
own scripts switched off too; axe-core needs timers, and so runs only where they are on.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from pages_kit import CHROME, COOKIE, HOME, PATH, Person
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Response

from parts import CHROMIUM_OPTIONS, missing, require

RULES: Final = (
    *("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"),
    "best-practice",
)

CONTROLS: Final = (
    "document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')"
)
_FOCUSED: Final = f"""() => {{
  const one = document.activeElement, box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  return {{
    index: [...{CONTROLS}].indexOf(one),
    left: box.left,
    top: box.top + scrollY,
    bottom: box.bottom + scrollY,
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
      // A page scrolls by whole pixels, so that less than one may be outside.
      && one.matches(":focus-visible") && box.top > -1 && box.bottom < innerHeight + 1,
  }};
}}"""
_STRUCTURE: Final = f"""() => {{
  const wrong = [], all = (what) => [...document.querySelectorAll(what)];
  const demand = (holds, text) => holds || wrong.push(text);
  demand(document.documentElement.lang, "no language");
  demand(document.title.trim(), "no title");
  demand(all("main").length === 1 && all("h1").length === 1, "one main part and one heading");
  demand(all("nav").every((one) => one.ariaLabel), "a navigation without a label");
  const levels = all("h1, h2, h3, h4, h5, h6").map((one) => Number(one.tagName[1]));
  demand(levels.every((level, n) => level <= (levels[n - 1] ?? 0) + 1), "a level left out");
  const ids = all("[id]").map((one) => one.id);
  demand(new Set(ids).size === ids.length, "an id twice");
  for (const one of all("[aria-labelledby], [aria-describedby]")) {{
    for (const name of ["aria-labelledby", "aria-describedby"]) {{
      const id = one.getAttribute(name);
      demand(id === null || document.getElementById(id)?.textContent.trim(), name + " to nothing");
    }}
  }}
  const called = (one) => [...(one.labels ?? [])].map((label) => label.innerText).join("").trim();
  for (const one of {CONTROLS}) {{
    const isField = ["INPUT", "SELECT"].includes(one.tagName);  // the others say it themselves
    demand(isField ? called(one) : one.innerText.trim(), "a control without a text");
  }}
  demand(all("[style], style, script:not([src])").length === 0, "code in the page");
  demand(!/user-scalable|maximum-scale/.test(all("[name=viewport]")[0].content), "no zoom");
  return wrong;
}}"""
_TOO_WIDE: Final = """() => {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll("body, body *")]
    .filter((one) => one.getBoundingClientRect().right > width + 0.5 || one.scrollWidth > width)
    .map((one) => one.outerHTML.slice(0, 80));
}"""


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    width: int
    scheme: str
    scripts: bool

    @property
    def name(self) -> str:
        return f"{self.width}-{self.scheme}-{'scripts' if self.scripts else 'plain'}"


@dataclass
class Window:
    """A window of somebody's browser; `told` is what its console said."""

    page: Page
    base: str
    look: Look
    told: list[str] = field(default_factory=list)
    path: str = PATH  # below which the pages are

    def begin(self, base: str) -> None:
        """Be as new, at a site."""
        self.base = base
        self.told.clear()
        self.page.context.clear_cookies()
        self.narrow(self.look.width)

    def narrow(self, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})

    def open(self, path: str) -> Response:
        """Go to one of the pages."""
        response = self.page.goto(f"{self.base}{self.path}{path}")
        assert response is not None
        return response

    def hear(self, message: ConsoleMessage) -> None:
        """Note what the console says, but for the icon of the site, which is not ours to have."""
        is_icon = message.location["url"].endswith("/favicon.ico")
        if message.type in ("error", "warning") and not is_icon:
            self.told.append(message.text)

    def press(self, button: str) -> Response:
        """Click on the first button of a name, and wait for what it leads to."""
        with self.page.expect_navigation() as found:
            self.page.get_by_role("button", name=button, exact=True).first.click()
        return found.value

    def become(self, person: Person) -> None:
        """Have the cookie of another sign-in, as after one in another tab."""
        self.page.context.add_cookies(
            [
                {
                    "name": COOKIE,
                    "value": person.cookie,
                    "url": self.base,
                    "secure": True,
                    "httpOnly": True,
                }
            ]
        )

    def tab(self) -> dict[str, Any]:
        """Press Tab; return which control has the focus, where, and whether that is seen."""
        self.page.keyboard.press("Tab")
        focused: dict[str, Any] = self.page.evaluate(_FOCUSED)
        return focused

    def tab_to(self, text: str) -> None:
        """Press Tab until a control has the focus that says a text."""
        for _ in range(30):
            self.tab()
            if self.page.evaluate("document.activeElement.innerText.trim()") == text:
                return
        raise AssertionError(f"no control says {text!r}")

    def control_count(self) -> int:
        return int(self.page.evaluate(f"{CONTROLS}.length"))

    def structure(self) -> list[str]:
        """What is wrong with the document, as far as simple rules see it."""
        return list(self.page.evaluate(_STRUCTURE))

    def too_wide(self) -> list[str]:
        """The elements that reach out of the window on its right."""
        return list(self.page.evaluate(_TOO_WIDE))

    def violations(self) -> list[tuple[str, list[str]]]:
        """What axe-core finds, and what it could not decide: rule and elements."""
        report = self.page.evaluate("(tags) => axe.run({runOnly: tags})", list(RULES))
        return [
            (f"{kind}: {one['id']}", [node["html"][:120] for node in one["nodes"]])
            for kind in ("violations", "incomplete")
            for one in report[kind]
        ]


@cache
def axe() -> str:
    """Return axe-core, which a package brings."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or not spec.submodule_search_locations:
        missing("axe-playwright-python")
    return Path(spec.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=require("chromium"), args=CHROMIUM_OPTIONS)
    yield browser
    browser.close()


@contextmanager
def windows(
    browser: Browser, path: str = PATH, *, agrees: bool = False
) -> Iterator[Callable[[Look], Window]]:
    """Give a function that returns a window for each look, the same one every time.

    `path` is below which its pages are; one that `agrees` says yes to every question.
    """
    with ExitStack() as stack:
        opened: dict[Look, Window] = {}

        def given(look: Look) -> Window:
            if look not in opened:
                opened[look] = made = stack.enter_context(window(browser, "", look))
                made.path = path
                if agrees:
                    made.page.on("dialog", lambda dialog: dialog.accept())
            return opened[look]

        yield given


@contextmanager
def window(
    browser: Browser, base: str, look: Look, person: Person | None = None, language: str = "en-GB"
) -> Iterator[Window]:
    """Open a window of its own: other cookies, another address."""
    who = person or Person(CHROME, HOME, "")
    context = browser.new_context(
        viewport={"width": look.width, "height": 900},
        color_scheme="dark" if look.scheme == "dark" else "light",
        java_script_enabled=look.scripts,
        user_agent=who.agent,
        locale=language,
        extra_http_headers={"X-Forwarded-For": who.address},
        ignore_https_errors=True,
    )
    context.set_default_timeout(15_000)
    if look.scripts:
        context.add_init_script(axe())
    try:
        opened = Window(context.new_page(), base, look)
        if who.cookie:
            opened.become(who)
        opened.page.on("pageerror", lambda error: opened.told.append(error.message))
        opened.page.on("console", opened.hear)
        yield opened
    finally:
        context.close()

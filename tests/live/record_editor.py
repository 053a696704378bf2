"""Record what the block editor of WordPress sends, into tests/data/editor_session.json.

    apt-get install -y --no-install-recommends wordpress wordpress-theme-twentytwentythree \
        php-cli php-mysql php-xml php-gd php-mbstring mariadb-server chromium
    python tests/live/record_editor.py

A tool and no test: it takes twelve minutes of real time. It starts MariaDB, PHP's own server and
Chromium, each on loopback, and one person writes in the editor. A proxy in front of PHP notes each
request that carries WordPress's login cookie, with the header lines as they arrived.

The site is visited twice. `desk` is the long visit: 127.0.0.1 counts as a secure origin, so the
browser sends what it would over HTTPS. `plain` is a short one to a site by name over plain HTTP
and without pretty permalinks: no Sec-Fetch headers, and `?rest_route=` in place of `/wp-json/`.

What it writes is as it arrived, but for: the cookie's value and the length of the body, which are
left out; nonces, boundaries of forms and the host, which have other names; long lists of scripts
in a query, which are cut; and Chromium's word for having no window, which is taken away.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from playwright.async_api import BrowserContext, Page, async_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from serving import Servers, free_port, servers

TARGET: Final = Path(__file__).parent.parent / "data" / "editor_session.json"
WORDPRESS: Final = Path("/usr/share/wordpress")
NAME, PASSWORD = "editor", "correct horse battery staple"
AS_USER: Final = "nobody"  # MariaDB does not run as root
LEFT_OUT: Final = ("cookie", "content-length")
LONGEST_QUERY: Final = 160
ACTION: Final = re.compile(rb"(?:^|&)action=([\w-]+)|name=\"action\"\r\n\r\n([\w-]+)")

ABOUT: Final = (
    "What the block editor of a real WordPress sent through a real browser, each request that "
    "carried the login cookie. A request is [milliseconds since the first, milliseconds it took, "
    "method, target, status, position in `headers`], and the `action` of a call of admin-ajax.php. "
    "`headers` are the lines as they arrived, but for what record_editor.py says. In `replay`, "
    "`starts` are milliseconds, and `repeated` is [kind, position in `requests` of `desk`, "
    "interval, since, until]: these were not recorded at those times, but made of that request."
)
# When the phases of the long visit begin in the replay, and what timers send in between.
MINUTES: Final = {"write": 0, "type": 3, "upload": 15, "away": 16, "finish": 29}
REPEATED: Final = (("heartbeat", "type"), ("autosave", "type"), ("heartbeat", "away"))

CONFIG: Final = """<?php
define('DB_NAME', 'wordpress'); define('DB_USER', 'wordpress'); define('DB_PASSWORD', 'made-up');
define('DB_HOST', 'localhost:%(socket)s'); define('DB_CHARSET', 'utf8mb4');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $scheme) {
    define($scheme . '_KEY', "$scheme key"); define($scheme . '_SALT', "$scheme salt");
}
$table_prefix = 'wp_';
define('WP_HOME', 'http://' . ($_SERVER['HTTP_HOST'] ?? 'localhost'));
define('WP_SITEURL', WP_HOME);
define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true);
if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }
require_once ABSPATH . 'wp-settings.php';
"""
ROUTER: Final = """<?php
$file = __DIR__ . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (is_file($file) || is_file($file . '/index.php')) { return false; }
$_SERVER['SCRIPT_NAME'] = '/index.php';
require __DIR__ . '/index.php';
"""
INSTALL: Final = """<?php
define('WP_INSTALLING', true);
require __DIR__ . '/wp-load.php'; require ABSPATH . 'wp-admin/includes/upgrade.php';
function wp_new_blog_notification() {}
$made = wp_install('A site', '%s', 'editor@example.com', true, '', '%s');
$welcome = ['welcomeGuide' => false];  // its dialog opens some time after the page
update_user_meta($made['user_id'], 'wp_persisted_preferences',
    ['core/edit-post' => $welcome, '_modified' => gmdate('c')]);
"""
PERMALINKS: Final = """<?php
require __DIR__ . '/wp-load.php'; update_option('permalink_structure', '%s');
"""


@dataclass
class Recording:
    """One visit, with times of the monotonic clock until it is told."""

    host: str
    phases: list[tuple[str, float]] = field(default_factory=list)
    headers: list[list[str]] = field(default_factory=list)
    requests: list[list[Any]] = field(default_factory=list)

    def begin(self, phase: str) -> None:
        self.phases.append((phase, time.monotonic()))

    def note(self, head: bytes, body: bytes, status: int, began: float) -> None:
        text = head.decode("latin-1")
        if "wordpress_logged_in_" not in text:
            return
        first, *lines = text.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        kept = [
            self._renamed(line) for line in lines if line.partition(":")[0].lower() not in LEFT_OUT
        ]
        if kept not in self.headers:
            self.headers.append(kept)
        took, place = round((time.monotonic() - began) * 1000), self.headers.index(kept)
        action = ACTION.search(body) if "admin-ajax.php" in target else None
        request = [began, took, method, self._renamed(target), status, place]
        self.requests.append([*request, (action[1] or action[2]).decode()] if action else request)

    def _renamed(self, text: str) -> str:
        text = text.replace(self.host, "blog.example").replace("HeadlessChrome", "Chrome")
        text = re.sub(r"(nonce=)[0-9a-f]{10}", r"\1x", text)
        text = re.sub(r"(?i)^(x-wp-nonce: ).*", r"\1x", text)
        text = re.sub(r"(boundary=)\S+", r"\1x", text)
        path, mark, query = text.partition("?")
        return path + mark + query[:LONGEST_QUERY]

    def told(self) -> dict[str, Any]:
        """Return it with times in milliseconds since the first request with the cookie."""
        requests = sorted(self.requests, key=lambda request: request[0])
        zero = requests[0][0]
        phases = [[name, max(0, round((at - zero) * 1000))] for name, at in self.phases]
        requests = [[round((at - zero) * 1000), *rest] for at, *rest in requests]
        return {"phases": phases, "headers": self.headers, "requests": requests}


@dataclass
class Proxy:
    """Passes one request a connection on to PHP, and tells the recording of it."""

    to: int
    recording: Recording | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._pass(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the browser closed a connection that it had no use for
        finally:
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        back, on = await asyncio.open_connection("127.0.0.1", self.to)
        try:
            on.write(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"\r\nConnection: close", head) + body)
            answer = await back.readuntil(b"\r\n\r\n")
            writer.write(answer)
            while data := await back.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            on.close()
        if self.recording is not None:
            self.recording.note(head, body, int(answer.split(b" ", 2)[1]), began)


def picture(number: int) -> bytes:
    """Make a PNG of 400 x 300 points in one colour, as its specification says."""
    row = b"\0" + bytes((40 * number % 256, 80, 120)) * 400

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    size = struct.pack(">IIBBBBB", 400, 300, 8, 2, 0, 0, 0)
    pixels = zlib.compress(row * 300)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def pictures(*numbers: int) -> list[Any]:
    return [
        {"name": f"picture-{number}.png", "mimeType": "image/png", "buffer": picture(number)}
        for number in numbers
    ]


# --- the site ---


def php(site: Path, code: str) -> None:
    script = site / "once.php"
    script.write_text(code, encoding="utf-8")
    subprocess.run(["php", str(script)], check=True, cwd=site)
    script.unlink()


def build_site(running: Servers, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the database and PHP with a new WordPress; return PHP and its port."""
    data, socket, site = folder / "mysql", folder / "mysql.sock", folder / "site"
    folder.chmod(0o777)  # MariaDB runs as somebody else
    user = f"--user={AS_USER}"
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"]
    quiet = subprocess.DEVNULL
    subprocess.run(
        [*install, user, "--auth-root-authentication-method=normal"], check=True, stdout=quiet
    )
    server = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}", user]
    running.start("mariadbd", [*server, "--skip-networking"], socket)
    subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root"],
        input="CREATE DATABASE wordpress;"
        "GRANT ALL ON wordpress.* TO wordpress@localhost IDENTIFIED BY 'made-up';",
        text=True,
        check=True,
    )
    shutil.copytree(WORDPRESS, site)
    (site / "wp-config.php").unlink(missing_ok=True)
    (site / "wp-config.php").write_text(CONFIG % {"socket": socket}, encoding="utf-8")
    (site / "router.php").write_text(ROUTER, encoding="utf-8")
    (site / "wp-content" / "uploads").mkdir(exist_ok=True)
    php(site, INSTALL % (NAME, PASSWORD))
    port = free_port()
    command = [
        "setsid",
        "php",
        "-S",
        f"127.0.0.1:{port}",
        "-t",
        str(site),
        str(site / "router.php"),
    ]
    return running.start("php", command, port, {"PHP_CLI_SERVER_WORKERS": "4"}), port


# --- the person ---


async def sign_in(page: Page, site: str) -> None:
    await page.goto(f"{site}/wp-login.php")
    await page.fill("#user_login", NAME)
    await page.fill("#user_pass", PASSWORD)
    await page.click("#wp-submit")
    await page.wait_for_selector("#wpadminbar")


async def open_editor(page: Page, site: str) -> None:
    await page.goto(f"{site}/wp-admin/post-new.php")
    await page.get_by_role("textbox", name="Add title").fill("A day at the lake")
    await page.keyboard.press("Enter")  # into the first paragraph


async def write(page: Page, seconds: float) -> None:
    """Type for so long, a few words at a time, as people do."""
    await page.locator("p.wp-block-paragraph, p[data-type='core/paragraph']").last.click()
    await page.keyboard.press("End")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await page.keyboard.type("The water was cold and clear. ", delay=60)
        await asyncio.sleep(5)


async def save_draft(page: Page) -> None:
    await page.get_by_role("button", name="Save draft").click()
    await page.get_by_text("Saved", exact=True).first.wait_for()


async def upload_gallery(page: Page, *numbers: int) -> None:
    """Give a gallery several pictures at once: each becomes a block that uploads its own."""
    await page.evaluate(
        "wp.data.dispatch('core/block-editor').insertBlocks(wp.blocks.createBlock('core/gallery'))"
    )
    field = page.locator(".wp-block-gallery input[type=file]").first
    await field.set_input_files(pictures(*numbers))
    await page.wait_for_function(
        "!document.querySelector('.wp-block-gallery img[src^=blob]')"
        f" && document.querySelectorAll('.wp-block-gallery img').length >= {len(numbers)}"
    )


async def upload_library(context: BrowserContext, site: str, *numbers: int) -> None:
    """Upload to the media library, in another tab."""
    page = await context.new_page()
    await page.goto(f"{site}/wp-admin/media-new.php")
    await page.locator(".moxie-shim input[type=file]").set_input_files(pictures(*numbers))
    for _ in range(100):
        if await page.locator(".media-item img.pinkynail").count() >= len(numbers):
            break
        await asyncio.sleep(0.2)
    await page.close()


async def preview(context: BrowserContext, page: Page) -> None:
    await page.get_by_role("button", name="Preview", exact=True).click()
    async with context.expect_page() as opened:
        await page.get_by_role("menuitem", name="Preview in new tab").click()
    tab = await opened.value
    await tab.wait_for_url("**preview=true**")
    await tab.wait_for_load_state("load")
    await tab.close()


async def publish(page: Page) -> None:
    await page.get_by_role("button", name="Publish", exact=True).click()
    panel = page.locator(".editor-post-publish-panel")
    await panel.get_by_role("button", name="Publish", exact=True).click()
    await panel.get_by_text("is now live").first.wait_for()
    await page.get_by_role("button", name="Close panel").click()


async def desk(context: BrowserContext, site: str, visited: Recording) -> None:
    """The long visit: write, upload, go away, come back and finish."""
    page = await context.new_page()
    visited.begin("write")
    await sign_in(page, site)
    await open_editor(page, site)
    await write(page, 140)
    await save_draft(page)
    visited.begin("type")  # the person types on and presses nothing
    await write(page, 140)
    visited.begin("upload")
    await upload_gallery(page, 1, 2, 3, 4)
    await upload_library(context, site, 5, 6, 7)
    await asyncio.sleep(1)
    visited.begin("away")
    await asyncio.sleep(200)
    visited.begin("finish")
    await page.get_by_role("textbox", name="Add title").click()
    await page.keyboard.press("End")
    await page.keyboard.type(" in June", delay=60)
    await preview(context, page)
    await publish(page)
    await page.get_by_role("textbox", name="Add title").click()
    await page.keyboard.press("End")
    await page.keyboard.type(" and July", delay=60)
    await asyncio.sleep(75)  # it autosaves beside what is published
    await page.get_by_role("button", name="Update", exact=True).click()
    await page.get_by_text("Post updated").first.wait_for()
    await page.goto(f"{site}/wp-admin/edit.php")
    await page.wait_for_load_state("networkidle")


async def plain(context: BrowserContext, site: str, visited: Recording) -> None:
    """The short visit, of one autosave and one upload."""
    page = await context.new_page()
    visited.begin("write")
    await sign_in(page, site)
    await open_editor(page, site)
    await write(page, 75)
    await save_draft(page)
    await upload_gallery(page, 8, 9)
    await page.goto(f"{site}/wp-admin/edit.php")
    await page.wait_for_load_state("networkidle")


async def record(visit: Visit, host: str, proxy: Proxy) -> Recording:
    """Start a browser, let the person visit, and return what arrived."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync",
                "--host-resolver-rules=MAP blog.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )  # fmt: skip
        context = await browser.new_context(viewport={"width": 1280, "height": 1000})
        proxy.recording = recording = Recording(host)
        try:
            await visit(context, f"http://{host}", recording)
        finally:
            proxy.recording = None
            await browser.close()
    return recording


Visit = Callable[[BrowserContext, str, Recording], Awaitable[None]]


async def record_all(running: Servers, folder: Path) -> dict[str, Any]:
    """Record both visits."""
    server, behind = build_site(running, folder)
    try:
        return await visit_all(Proxy(behind), folder / "site")
    finally:
        os.killpg(server.pid, signal.SIGINT)  # its workers do not end with it
        server.wait(10)


async def visit_all(proxy: Proxy, site: Path) -> dict[str, Any]:
    port, found = free_port(), {}
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", port, limit=2**20):
        for visit, host, links in (
            (plain, "blog.test", ""),
            (desk, "127.0.0.1", "/%postname%/"),
        ):
            php(site, PERMALINKS % links)
            recording = await record(visit, f"{host}:{port}", proxy)
            found[visit.__name__] = recording.told()
            sys.stdout.write(f"{visit.__name__}: {len(recording.requests)} requests\n")
    return found


# --- what is written ---


def is_kind(kind: str, request: list[Any]) -> bool:
    return "/autosaves" in request[3] if kind == "autosave" else request[6:] == [kind]


def stretched(desk: dict[str, Any]) -> dict[str, Any]:
    """Say how a test makes half an hour of the long visit.

    Each phase begins at its minute. Between two phases the timers of the first go on: the last
    request of each kind is sent again, at the interval that was recorded in that phase.
    """
    names = [name for name, _ in desk["phases"]]
    begins = [at for _, at in desk["phases"]]
    lasts = [*begins[1:], desk["requests"][-1][0]]
    starts = [MINUTES[name] * 60_000 for name in names]
    repeated = []
    for kind, name in REPEATED:
        place = names.index(name)
        of_kind = [
            index
            for index, request in enumerate(desk["requests"])
            if begins[place] <= request[0] < lasts[place] and is_kind(kind, request)
        ]
        times = [desk["requests"][index][0] for index in of_kind]
        every = round(statistics.median(b - a for a, b in pairwise(times)))
        since = starts[place] + times[-1] - begins[place] + every
        repeated.append([kind, of_kind[-1], every, since, starts[place + 1]])
    return {"starts": dict(zip(names, starts, strict=True)), "repeated": repeated}


def version(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def compact(value: Any, depth: int) -> str:
    """Write JSON with a line for each element down to a depth."""
    if depth and isinstance(value, dict):
        inside = [f"{json.dumps(key)}: {compact(value[key], depth - 1)}" for key in value]
        return "{\n" + ",\n".join(inside) + "\n}"
    if depth and isinstance(value, list):
        return "[\n" + ",\n".join(compact(item, depth - 1) for item in value) + "\n]"
    return json.dumps(value, ensure_ascii=False, separators=(", ", ":"))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="editor-") as name, servers(Path(name)) as running:
        found = asyncio.run(record_all(running, Path(name)))
    source = {
        "recorded": "all requests of `plain` and `desk`, by tests/live/record_editor.py",
        "modelled": "`replay`: when each phase begins, and what is sent again in between",
        "wordpress": version("dpkg-query", "-W", "-f=${Version}", "wordpress"),
        "browser": version("chromium", "--version").split(" built")[0],
        "php": version("php", "-r", "echo PHP_VERSION;"),
    }
    told = {"about": ABOUT, "source": source, **found, "replay": stretched(found["desk"])}
    TARGET.write_text(compact(told, 3) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

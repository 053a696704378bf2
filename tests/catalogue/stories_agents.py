"""N29 to N41, N44 to N46, N50, N54, N55: browsers that change, and requests of many kinds."""

from __future__ import annotations

from itertools import product

from catalogue_kit import HOME, Step, Tale
from catalogue_looks import (
    WEB_VIEW,
    Look,
    chrome,
    chrome_phone,
    edge,
    firefox,
    iphone,
    mac,
    script,
)
from catalogue_run import ALLOW, FLAG, RECORD, normal
from catalogue_world import v4, v6
from stories_networks import browse

MACINTOSH = "Macintosh; Intel Mac OS X 10_15_7"
AJAX = "/wp-admin/admin-ajax.php"


@normal(29, ALLOW)
def browser_updates_itself(tale: Tale) -> None:
    laptop = tale.settled(chrome(154))
    tale.begin()
    for version in (155, 156):
        browse(tale, laptop.use(chrome(version)), HOME, HOME)


@normal(30, ALLOW)
def system_updates_itself(tale: Tale) -> None:
    phone = tale.settled(iphone("26.1", "18_6"))
    desk = tale.settled(firefox(151, "Windows NT 10.0; Win64; x64"), user="bob")
    tale.begin()
    browse(tale, phone.use(iphone("26.2", "18_7")), HOME, HOME)
    browse(tale, desk.use(firefox(152, "Windows NT 10.0; Win64; x64")), HOME, HOME)


@normal(31, ALLOW)
def client_hints_come_and_go(tale: Tale) -> None:
    laptop = tale.settled(chrome().as_(platform=""))
    tale.begin()
    for look in (chrome(), chrome().as_(platform=""), chrome()):
        browse(tale, laptop.use(look), HOME)


@normal(32, RECORD)
def desktop_site_on_a_phone(tale: Tale) -> None:
    one = tale.settled(iphone())
    other = tale.settled(chrome_phone(), user="bob")
    tale.begin()
    for _ in range(2):
        browse(tale, one.use(mac()), HOME)
        browse(tale, other.use(chrome(155, "X11; Linux x86_64")), HOME)
        browse(tale, one.use(iphone()), HOME)
        browse(tale, other.use(chrome_phone()), HOME)


@normal(33, RECORD)
def developer_tools_play_a_phone(tale: Tale) -> None:
    laptop = tale.settled()
    # As recorded from Chromium: it keeps its own version in the hints, and sends none at all
    # where the device that it plays has none.
    pixel = chrome_phone(114, "Linux; Android 13; Pixel 7").as_(version=155)
    tale.begin()
    apple = iphone("18.5", "18_5").as_(engine="chrome")
    for look in (pixel, chrome(), apple, chrome(), pixel, chrome()):
        laptop.use(look).page("/")
        laptop.fetch()
        laptop.use(chrome()).send("worker", "/sw.js")  # not played: its text is the real one
        tale.wait(minutes=2)


@normal(34, RECORD)
def web_view_and_browser(tale: Tale) -> None:
    phone = tale.settled(chrome_phone())
    tale.begin()
    for look in (WEB_VIEW, chrome_phone(), WEB_VIEW):
        browse(tale, phone.use(look), HOME)


@normal(35, ALLOW)
def players_and_downloads(tale: Tale) -> None:
    phone = tale.settled(chrome_phone())
    apple = tale.settled(iphone(), user="bob")
    tale.begin()
    for person, agent in (
        (phone, "stagefright/1.2 (Linux;Android 14)"),
        (phone, "ExoPlayerDemo/2.1 (Linux;Android 13) ExoPlayerLib/2.18"),
        (phone, "AndroidDownloadManager/14 (Linux; U; Android 14; Pixel 8 Build/UQ1A)"),
        (apple, "AppleCoreMedia/1.0.0.23C55 (iPhone; U; CPU OS 26_2 like Mac OS X; de_de)"),
    ):
        own = person.look
        person.page("/film")
        person.use(own.as_(agent=agent, platform="")).send("video", "/film.mp4")
        person.use(own).fetch("/api/progress")
        tale.wait(seconds=40)


@normal(36, ALLOW)
def prefetch_and_prerender(tale: Tale) -> None:
    laptop = tale.settled(remember=False)
    tale.begin()
    until = laptop.page("/").idle_expires
    for kind in ("prefetch", "prerender") * 3:
        tale.wait(minutes=9)
        step = laptop.send(kind, "/next")
        assert (step.activity, step.idle_expires) == ("speculative", until)
    # What Chrome fetches ahead through its own proxy goes without cookies.
    ahead = tale.person(address=v4("relay_b", 9))
    assert ahead.send("prefetch", "/next", counted=False).user is None


@normal(37, ALLOW)
def service_worker_in_the_background(tale: Tale) -> None:
    phone = tale.settled(chrome_phone(), remember=False)
    browse(tale, phone, v4("phone"), HOME)
    tale.begin()
    until = phone.page("/").idle_expires
    for n in range(6):
        tale.wait(minutes=9)
        phone.move(v4("phone") if n % 2 else HOME)
        for step in (phone.send("worker", "/sw.js"), phone.fetch("/api/push")):
            assert (step.activity, step.idle_expires) == ("background", until)


@normal(38, ALLOW)
def editor_at_work(tale: Tale) -> None:
    writer = tale.settled(remember=False)
    tale.begin()
    until = writer.page("/wp-admin/post.php").idle_expires
    for n in range(200):  # fifty minutes of heartbeats, autosaves and polls
        writer.send("fetch", AJAX, method="POST", headers={"x-requested-with": "XMLHttpRequest"})
        if n % 4 == 0:
            save = writer.send("fetch", "/wp-json/wp/v2/posts/7/autosaves", method="POST")
            assert (save.activity, save.idle_expires) == ("background", until)
            writer.fetch("/wp-json/wp/v2/types")
        tale.wait(seconds=15)


@normal(39, ALLOW)
def late_requests_of_the_old_address(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    for old, new in ((HOME, v4("home", 6)), (v4("home", 6), v6("home"))):
        for address in (old, new, old, new, old, new, new):
            laptop.move(address).fetch()
            tale.clock.advance(ms=300)
        tale.wait(minutes=10)


@normal(40, ALLOW)
def old_connection_lives_on(tale: Tale) -> None:
    phone = tale.settled(chrome_phone())
    browse(tale, phone, v4("phone"), HOME)
    tale.wait(hours=1)
    tale.begin()
    for n in range(12):  # the open tab keeps its connection, a new tab opens its own
        phone.move(HOME).fetch(f"/api/feed/{n}")
        tale.wait(seconds=20)
        phone.move(v4("phone")).page(f"/item/{n}")
        tale.wait(seconds=20)


@normal(41, ALLOW)
def thirty_tabs_at_once(tale: Tale) -> None:
    laptop = tale.settled()
    tale.wait(hours=11)
    tale.begin()
    laptop.move(v4("home", 5))
    for n in range(30):
        laptop.page(f"/tab/{n}")
        tale.clock.advance(ms=20)


@normal(44, RECORD)
def scanner_of_an_antivirus(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    # In the cloud, it has the URL and no cookie; on the machine, it has the cookie.
    cloud = tale.person(chrome(120), v4("cloud"))
    assert cloud.page("/list", counted=False).user is None
    for n in range(3):
        laptop.use(chrome()).page(f"/list/{n}")
        scanner = chrome(109, "Windows NT 10.0; WOW64").as_(platform="")
        laptop.use(scanner).send("page", f"/list/{n}", method="HEAD")
        tale.wait(minutes=1)


@normal(45, ALLOW)
def previewer_of_links(tale: Tale) -> None:
    robots = ("Slackbot-LinkExpanding 1.0", "facebookexternalhit/1.1", "WhatsApp/2.23")
    tale.begin()
    for agent in robots:
        previewer = tale.person(script(agent), v4("cloud"))
        # The page of a link in a mail: a GET shows it, and signs nobody in.
        assert previewer.page("/link/token", counted=False).user is None
    person = tale.person()
    person.page("/link/token", counted=False)
    person.login(methods=("magic_link",))
    browse(tale, person, HOME)


@normal(46, ALLOW)
def apps_and_programs_of_the_user(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    for agent in ("okhttp/5.3.0", "python-requests/2.32.5", "Orders/51 CFNetwork/3860 Darwin/25"):
        program = tale.person(script(agent))
        program.login()
        for _ in range(3):
            program.fetch()
            laptop.page("/")
            tale.wait(seconds=20)


@normal(50, FLAG, RECORD)
def extension_varies_the_browser(tale: Tale) -> None:
    systems = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", MACINTOSH)
    made = [make(system) for system, make in product(systems, (_chrome_in, _firefox_in))]
    person = tale.settled(firefox())
    tale.begin()
    for n in range(18):
        if n == 2:  # four texts are a flag; from then on it is one odd browser
            tale.begin()
        look = made[n * 5 % len(made)]
        person.use(look).page("/")
        person.use(made[(n * 5 + 2) % len(made)]).fetch()
        tale.wait(minutes=3)


def _chrome_in(system: str) -> Look:
    return chrome(150 + len(system) % 5, system).as_(platform="")


def _firefox_in(system: str) -> Look:
    return firefox(145 + len(system) % 5, system)


@normal(54, RECORD)
def proxy_that_saves_data(tale: Tale) -> None:
    phone = tale.settled(chrome_phone(), v4("phone"))
    tale.begin()
    for n in range(4):
        phone.move(v4("saver", n)).page("/", headers={"via": "1.1 saver", "forwarded": "for=_p"})
        tale.wait(minutes=1)
        phone.move(v4("phone")).page("/")
        tale.wait(minutes=1)


@normal(55, ALLOW)
def language_changes(tale: Tale) -> None:
    phone = tale.settled(chrome_phone())
    steps: list[Step] = []
    tale.begin()
    for language in ("de-DE", "en-GB", "tr-TR"):
        steps.append(phone.use(chrome_phone().as_(language=language)).page("/"))
        phone.use(edge().as_(agent=phone.look.agent, platform="Android", language=language)).fetch()
        tale.wait(hours=1)
    assert not any(step.codes for step in steps)

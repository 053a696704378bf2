"""What browsers and programs send: their texts and their headers, for each kind of request.

A look is immutable; `as_` makes one that differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

_CHROMIUM: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WEBKIT: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_CHROMIUM_PAGE: Final = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7"
)
# kind: (Sec-Fetch-Mode, Sec-Fetch-Dest, Accept)
_KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "page": (
        "navigate",
        "document",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    "fetch": ("cors", "empty", "*/*"),
    "image": ("no-cors", "image", "image/avif,image/webp,image/*,*/*;q=0.8"),
    "video": ("no-cors", "video", "*/*"),
    "worker": ("same-origin", "serviceworker", "*/*"),
    "prefetch": ("no-cors", "empty", "*/*"),
    "prerender": ("navigate", "document", "text/html,*/*;q=0.8"),
}


@dataclass(frozen=True)
class Look:
    """A browser, or a program where `engine` is "script".

    `platform` is the system in Sec-CH-UA-Platform, "" for who sends no client hints.
    """

    agent: str
    engine: str
    platform: str = ""
    version: int = 0
    mobile: bool = False
    language: str = "de-DE"

    def as_(self, **changes: object) -> Look:
        return replace(self, **changes)  # type: ignore[arg-type]  # names and types of the fields

    @property
    def brand(self) -> str:
        """What Chromium calls itself in Sec-CH-UA."""
        return "Microsoft Edge" if "Edg/" in self.agent else "Google Chrome"

    def headers(self, kind: str) -> dict[str, str]:
        """The headers of a request, but for Host, User-Agent and Cookie."""
        if self.engine == "script":
            return {"accept": "*/*"}
        mode, dest, accept = _KINDS[kind]
        if mode == "navigate" and self.engine == "chrome":
            accept = _CHROMIUM_PAGE
        sent = {
            "accept": accept,
            "accept-language": f"{self.language},{self.language[:2]};q=0.9",
            "sec-fetch-site": "same-origin",
            "sec-fetch-mode": mode,
            "sec-fetch-dest": dest,
        }
        if kind == "page":
            sent |= {"sec-fetch-user": "?1", "upgrade-insecure-requests": "1"}
        if kind in ("prefetch", "prerender"):
            sent["sec-purpose"] = "prefetch" + ";prerender" * (kind == "prerender")
        if self.platform and kind != "worker":
            sent |= {
                "sec-ch-ua": f'"Not:A-Brand";v="8", "Chromium";v="{self.version}", '
                f'"{self.brand}";v="{self.version}"',
                "sec-ch-ua-mobile": "?1" if self.mobile else "?0",
                "sec-ch-ua-platform": f'"{self.platform}"',
            }
        return sent


def chrome(version: int = 155, system: str = "Windows NT 10.0; Win64; x64") -> Look:
    platform = "Windows" if "Windows" in system else "macOS" if "Mac" in system else "Linux"
    agent = f"Mozilla/5.0 ({system}) {_CHROMIUM} Chrome/{version}.0.0.0 Safari/537.36"
    return Look(agent, "chrome", platform, version)


def chrome_phone(version: int = 155, system: str = "Linux; Android 10; K") -> Look:
    agent = f"Mozilla/5.0 ({system}) {_CHROMIUM} Chrome/{version}.0.0.0 Mobile Safari/537.36"
    return Look(agent, "chrome", "Android", version, mobile=True)


def firefox(version: int = 151, system: str = "X11; Linux x86_64") -> Look:
    agent = f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
    return Look(agent, "firefox")


def iphone(version: str = "26.2", system: str = "18_7") -> Look:
    where = f"iPhone; CPU iPhone OS {system} like Mac OS X"
    tail = f"Version/{version} Mobile/15E148 Safari/604.1"
    return Look(f"Mozilla/5.0 ({where}) {_WEBKIT} {tail}", "safari")


def mac(version: str = "26.2") -> Look:
    where = "Macintosh; Intel Mac OS X 10_15_7"
    return Look(f"Mozilla/5.0 ({where}) {_WEBKIT} Version/{version} Safari/605.1.15", "safari")


def edge(version: int = 155) -> Look:
    plain = chrome(version)
    return plain.as_(agent=f"{plain.agent} Edg/{version}.0.0.0")


def script(agent: str = "python-requests/2.32.5") -> Look:
    return Look(agent, "script")


TOR_BROWSER: Final = firefox(140, "Windows NT 10.0; Win64; x64")  # the same text for everybody
WEB_VIEW: Final = Look(
    f"Mozilla/5.0 (Linux; Android 15; Pixel 8 Build/BP1A; wv) {_CHROMIUM} "
    "Version/4.0 Chrome/155.0.0.0 Mobile Safari/537.36",
    "chrome",
    "Android",
    155,
    mobile=True,
)

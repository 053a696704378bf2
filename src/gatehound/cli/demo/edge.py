"""The reverse proxy that the demo plays: it says from which network a request came.

Like a real one it appends to X-Forwarded-For and leaves alone what the client wrote there. What
is played is the address alone; the socket, the headers and gatehound's answer are real.
"""

from __future__ import annotations

from gatehound.asgi import App, Receive, Scope, Send
from gatehound.cli.demo.world import place_in


class Edge:
    """Wrap an ASGI app: add the address of the place that the visitor's cookie names."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "http":
            headers = list(scope["headers"])
            cookies = b"; ".join(value for name, value in headers if name == b"cookie")
            address = place_in(cookies.decode("latin-1")).address
            scope = {**scope, "headers": [*headers, (b"x-forwarded-for", address.encode())]}
        await self._app(scope, receive, send)

"""nginx in front of both upstreams, as an operator would set it up, on its own ports.

Each upstream is served on two ports. nginx sees 127.0.0.1 for every client here, so each port
appends the address that a proxy would have seen there; cookies do not care about ports.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from parts import require
from serving import Servers, free_port

NGINX_ADDRESS = "127.0.0.3"  # nginx speaks to the apps from here, and they trust nothing else
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"
TRUST = {
    "GATEHOUND_CLIENT_IP__MODE": "x-forwarded-for",
    "GATEHOUND_CLIENT_IP__TRUSTED_PROXIES": NGINX_ADDRESS,
}


@dataclass(frozen=True)
class Front:
    """Where one upstream is found: at home, elsewhere, and past nginx."""

    home: str
    elsewhere: str
    direct: str


def certificate(started: Servers) -> None:
    """Make a certificate for localhost, signed by itself."""
    command = [require("openssl"), "req", "-x509", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=started.folder, check=True, capture_output=True, timeout=30)


def nginx(started: Servers, upstreams: dict[str, int]) -> dict[str, Front]:
    """Start nginx over the given upstreams (name to port)."""
    certificate(started)
    blocks, fronts, ports = [], {}, []
    for name, upstream in upstreams.items():
        here, there = free_port(), free_port()
        ports += [here, there]
        blocks += [_server(here, upstream, HOME), _server(there, upstream, ELSEWHERE)]
        fronts[name] = Front(
            home=f"https://localhost:{here}",
            elsewhere=f"https://localhost:{there}",
            direct=f"http://127.0.0.1:{upstream}",
        )
    folder = started.folder
    (folder / "nginx.conf").write_text(_HEAD.format(folder=folder, servers="\n".join(blocks)))
    command = [require("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    started.start("nginx", [*command, "-e", str(folder / "nginx-error.log")], ports[-1])
    return fronts


def _server(port: int, upstream: int, address: str) -> str:
    return f"""
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name localhost;
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_bind {NGINX_ADDRESS};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For "${{claimed}}{address}";
    }}
  }}"""


# What $proxy_add_x_forwarded_for does, with an address of our choice for $remote_addr.
_HEAD = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 128; }}
http {{
  access_log {folder}/nginx-access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_certificate {folder}/cert.pem;
  ssl_certificate_key {folder}/key.pem;
  map $http_x_forwarded_for $claimed {{
    "" "";
    default "$http_x_forwarded_for, ";
  }}
{servers}
}}
"""

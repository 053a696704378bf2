"""Six reverse proxies, each set up as its operator would, and each with an address of its own.

Every configuration does three things: it appends the client to X-Forwarded-For or overwrites
the header, whichever the product does by itself; it overwrites X-Real-IP; and it speaks to the
apps from an address that nobody else uses, so that an app can trust it and nothing else. (Only
Traefik cannot choose that address.) nginx and HAProxy also append to Forwarded, on the paths
below /forwarded; those that let names with underscores through drop one below /cleaned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parts import has_ipv6, require
from serving import Where

Routes = Mapping[str, Where]
"""Prefix of a path to where its upstream listens."""
HOSTS = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
"""Where each proxy listens."""


@dataclass(frozen=True)
class Proxy:
    """A product: the address from which it speaks, and how it is started.

    `command` writes the configuration for a port of `HOSTS`, and returns what to run.
    """

    address: str
    command: Callable[[Path, int, Routes], list[str]]


def target(where: Where) -> str:
    """Write a TCP address as host:port."""
    assert not isinstance(where, Path)
    host, port = ("127.0.0.1", where) if isinstance(where, int) else where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def key(prefix: str) -> str:
    """Make the name of a route from its prefix."""
    return prefix.strip("/").replace("/", "-")


# --- nginx: $proxy_add_x_forwarded_for joins the client's lines and appends the client


def nginx(folder: Path, port: int, routes: Routes) -> list[str]:
    text = _NGINX.format(
        folder=folder,
        listens=" ".join(f"listen {target((host, port))};" for host in HOSTS),
        routes="".join(_nginx_route(*route) for route in routes.items()),
    )
    (folder / "nginx.conf").write_text(text)
    return [
        *(require("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")),
        *("-e", str(folder / "nginx-error.log")),
    ]


def _nginx_route(prefix: str, upstream: Where) -> str:
    place = f"unix:{upstream}" if isinstance(upstream, Path) else target(upstream)
    # A route that ends in "-local" speaks from 127.0.0.1, as one without proxy_bind does.
    bind = isinstance(upstream, int) and not prefix.endswith("-local")
    forwarded = prefix.startswith("/forwarded")
    return f"""
    location {prefix} {{
      proxy_pass http://{place};
      {f"proxy_bind {PROXIES['nginx'].address};" if bind else ""}
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      {"proxy_set_header Forwarded $forwarded_before$forwarded_element;" if forwarded else ""}
    }}"""


_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $remote_addr $forwarded_element {{
    ~: 'for="[$remote_addr]"';
    default "for=$remote_addr";
  }}
  map $http_forwarded $forwarded_before {{
    "" "";
    default "$http_forwarded, ";
  }}
  server {{
    {listens}
{routes}
  }}
}}
"""


# --- HAProxy: `option forwardfor` adds a line of its own below the client's


def haproxy(folder: Path, port: int, routes: Routes) -> list[str]:
    lines = [
        *("global", "  maxconn 64", "defaults", "  mode http", "  option forwardfor"),
        *("  timeout connect 5s", "  timeout client 20s", "  timeout server 20s"),
        *("frontend all", *(f"  bind {target((host, port))}" for host in HOSTS)),
        "  http-request set-header X-Real-IP %[src]",
        "  acl forwarded path_beg /forwarded/",
        "  http-request del-header X_Forwarded_For if { path_beg /cleaned/ }",
        "  acl six src -m sub :",
        "  http-request add-header Forwarded for=%[src] if forwarded !six",
        '  http-request add-header Forwarded for=\\"[%[src]]\\" if forwarded six',
        *(f"  use_backend {key(prefix)} if {{ path_beg {prefix} }}" for prefix in routes),
    ]
    for prefix, upstream in routes.items():
        lines += [f"backend {key(prefix)}"]
        if isinstance(upstream, Path):
            lines += [f"  server one unix@{upstream}"]
        else:
            lines += [f"  source {PROXIES['haproxy'].address}"]
            lines += [f"  server one {target(upstream)}"]
    (folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
    return [require("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


# --- Caddy: reverse_proxy overwrites the header, unless its peer is in trusted_proxies


def caddy(folder: Path, port: int, routes: Routes) -> list[str]:
    text = _CADDY.format(
        folder=folder,
        port=port,
        hosts=" ".join(f"[{host}]" if ":" in host else host for host in HOSTS),
        routes="".join(_caddy_route(*route) for route in routes.items()),
    )
    (folder / "Caddyfile").write_text(text)
    command = [require("caddy"), "run", "--adapter", "caddyfile"]
    return [*command, "--config", str(folder / "Caddyfile")]


def _caddy_route(prefix: str, upstream: Where) -> str:
    unix = isinstance(upstream, Path)
    place = f"unix/{upstream}" if unix else target(upstream)
    bind = "" if unix else f"transport http {{ \n local_address {PROXIES['caddy'].address} \n }}"
    return f"""
  reverse_proxy {prefix}* {place} {{
    header_up X-Real-IP {{remote_host}}
    {bind}
  }}"""


_CADDY = """
{{
  admin off
  persist_config off
  auto_https off
  storage file_system {folder}/caddy
  log {{
    level WARN
  }}
}}
http://:{port} {{
  bind {hosts}
{routes}
}}
"""


# --- Traefik: overwrites both headers, unless its peer is in forwardedHeaders.trustedIPs


def traefik(folder: Path, port: int, routes: Routes) -> list[str]:
    dynamic = {
        "http": {
            "routers": {
                key(prefix): {"rule": f"PathPrefix(`{prefix}`)", "service": key(prefix)}
                for prefix in routes
            },
            "services": {
                key(prefix): {"loadBalancer": {"servers": [{"url": f"http://{target(upstream)}"}]}}
                for prefix, upstream in routes.items()
            },
        }
    }
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
        "entryPoints": {
            f"at{number}": {"address": target((host, port))} for number, host in enumerate(HOSTS)
        },
        "providers": {"file": {"filename": str(folder / "dynamic.yml"), "watch": False}},
    }
    (folder / "dynamic.yml").write_text(json.dumps(dynamic))  # JSON is YAML too
    (folder / "traefik.yml").write_text(json.dumps(static))
    return [require("traefik"), f"--configfile={folder}/traefik.yml"]


# --- Envoy: `use_remote_address` appends the client, with a comma and no space


def envoy(folder: Path, port: int, routes: Routes) -> list[str]:
    listeners = [_envoy_listener(host, port, routes) for host in HOSTS]
    clusters = [_envoy_cluster(*route) for route in routes.items()]
    config = {"static_resources": {"listeners": listeners, "clusters": clusters}}
    (folder / "envoy.json").write_text(json.dumps(config))
    return [
        *(require("envoy"), "--config-path", str(folder / "envoy.json"), "--disable-hot-restart"),
        *("--concurrency", "1", "--log-level", "warning"),
    ]


def _envoy_address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def _envoy_listener(host: str, port: int, routes: Routes) -> dict[str, object]:
    real = {"key": "x-real-ip", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
    host_for_all = {
        "name": "all",
        "domains": ["*"],
        "routes": [_envoy_route(prefix) for prefix in routes],
        "request_headers_to_add": [
            {"header": real, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ],
    }
    manager = {
        "@type": f"{_ENVOY}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "all",
        "use_remote_address": True,
        "route_config": {"virtual_hosts": [host_for_all]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_ENVOY}.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    return {
        "name": f"at {host}",
        "address": _envoy_address(host, port),
        "filter_chains": [chain],
    }


def _envoy_route(prefix: str) -> dict[str, object]:
    route: dict[str, object] = {"match": {"prefix": prefix}, "route": {"cluster": key(prefix)}}
    if prefix.startswith("/cleaned/"):  # or headers_with_underscores_action, for a whole listener
        route["request_headers_to_remove"] = ["x_forwarded_for"]
    return route


def _envoy_cluster(prefix: str, upstream: Where) -> dict[str, object]:
    cluster: dict[str, object] = {"name": key(prefix), "type": "STATIC", "connect_timeout": "5s"}
    if isinstance(upstream, Path):
        address: dict[str, object] = {"pipe": {"path": str(upstream)}}
    else:
        assert isinstance(upstream, int)
        address = _envoy_address("127.0.0.1", upstream)
        source = {"address": PROXIES["envoy"].address, "port_value": 0}
        cluster["upstream_bind_config"] = {"source_address": source}
    place = {"endpoint": {"address": address}}
    cluster["load_assignment"] = {
        "cluster_name": key(prefix),
        "endpoints": [{"lb_endpoints": [place]}],
    }
    return cluster


_ENVOY = "type.googleapis.com/envoy.extensions"


# --- Apache: mod_proxy_http joins the client's lines and appends the client


def apache2(folder: Path, port: int, routes: Routes) -> list[str]:
    passes = [f"ProxyPass {prefix} {_apache_place(up)}{prefix}" for prefix, up in routes.items()]
    modules = ["mpm_event", "authz_core", "headers", "proxy", "proxy_http"]
    loads = [f"LoadModule {name}_module {_APACHE}/mod_{name}.so" for name in modules]
    lines = [
        *(f"ServerRoot {folder}", f"DefaultRuntimeDir {folder}", f"PidFile {folder}/apache.pid"),
        *("ServerName localhost", f"ErrorLog {folder}/apache-error.log", *loads),
        *("User #65534", "Group #65534"),  # it will not serve as root; others cannot change it
        *("ServerLimit 1", "StartServers 1", "ThreadsPerChild 8", "MaxRequestWorkers 8"),
        *("MinSpareThreads 1", "MaxSpareThreads 8"),
        *(f"Listen {target((host, port))}" for host in HOSTS),
        *("ProxyPreserveHost On", f"ProxySourceAddress {PROXIES['apache2'].address}"),
        *('RequestHeader set X-Real-IP "expr=%{REMOTE_ADDR}"', *passes),
        *("<Location /cleaned/>", "RequestHeader unset X_Forwarded_For", "</Location>"),
    ]
    (folder / "apache.conf").write_text("\n".join(lines) + "\n")
    return [require("apache2"), "-D", "FOREGROUND", "-f", str(folder / "apache.conf")]


def _apache_place(upstream: Where) -> str:
    if isinstance(upstream, Path):
        return f"unix:{upstream}|http://localhost"
    return f"http://{target(upstream)}"


_APACHE = "/usr/lib/apache2/modules"


PROXIES: Mapping[str, Proxy] = {
    "nginx": Proxy("127.0.0.3", nginx),
    "haproxy": Proxy("127.0.0.4", haproxy),
    "envoy": Proxy("127.0.0.5", envoy),
    "apache2": Proxy("127.0.0.6", apache2),
    "caddy": Proxy("127.0.0.7", caddy),
    "traefik": Proxy("127.0.0.1", traefik),
}

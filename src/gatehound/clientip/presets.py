"""What each provider and proxy does with the client's address: settings, and the traps.

What belongs here: facts, each with the page that says so and the day it was read. What must
not: code, and facts from memory. `networks` holds only what the provider publishes
(ranges.py); where it is empty the operator lists the peers. A comment beside an entry says
what its page does not. `checked` is the day of reading; a comment tells where the copy that
was read is older.

Not here, and why: WP Engine. It runs PHP and Node.js, and the headers that it documents
(wpe-headless-country, -region, -timezone) hold no client address.
"""

# Annotations are no texts here: NamedTuple compiles those, which is a tenth of the import.

from collections.abc import Mapping
from typing import Final, NamedTuple

from gatehound.clientip import ranges

READ: Final = "2026-11-21"
"""When every page below was read, in stored copies."""


class Preset(NamedTuple):
    """One provider or proxy: what `ClientIPResolver(mode=<name>)` stands for, and its traps.

    `mode` is "x-forwarded-for", "header", "cloudflare" or "forwarded"; `header` goes with
    "header" and is lower case, `hops` with "x-forwarded-for" (0: walk by trust, no count).
    `networks` are the peers that are trusted without being listed; empty means that the
    operator lists them. `edge_overwrites` False means that the edge passes on a client's own
    value of `header` unless it is told otherwise. `shared` means that other customers reach
    the server from the same networks and can write the header that is read. `scheme_header`
    and `host_header` are set only where the provider always overwrites them; empty means
    that neither is known. `one_line` means that several lines of X-Forwarded-For are refused,
    because the provider does not always write the last one.
    """

    title: str
    mode: str
    setup: str
    trap: str
    source: str
    checked: str
    header: str = ""
    hops: int = 0
    networks: tuple[str, ...] = ()
    edge_overwrites: bool = True
    shared: bool = False
    scheme_header: str = ""
    host_header: str = ""
    one_line: bool = False

    @property
    def publishes(self) -> bool:
        """Tell whether the networks are the provider's own; private ones are anybody's."""
        return bool(self.networks) and "127.0.0.0/8" not in self.networks


PRESETS: Final[Mapping[str, Preset]] = {
    # "if a client sets the True-Client-IP header, the edge server allows it and passes the
    # value to the origin. Otherwise the edge server removes it and sets the value itself"
    # (option trueClientIpClientSetting; the copy has no date). That another property can
    # write the header follows from its modifyOutgoingRequestHeader behavior.
    "akamai": Preset(
        title="Akamai",
        mode="header",
        header="true-client-ip",
        setup="You switch on Send True Client IP Header in the Origin Server behavior, and "
        "list the networks of your Site Shield map as trusted_proxies.",
        trap="While Allow Clients To Set True Client IP Header is on, a client names its own "
        "address. You switch it off, then you say edge_overwrites=True.",
        source="https://techdocs.akamai.com/terraform/v4.1/reference/ga-origin",
        checked=READ,
        edge_overwrites=False,
        shared=True,
    ),
    # The page says that the headers are added; the two traps are CVE-2022-31813 ("2.4.53 and
    # earlier") and a capture of 2.4 with ProxyAddHeaders Off. X-Forwarded-Host is appended,
    # and X-Forwarded-Proto is passed on, so neither is declared.
    "apache": Preset(
        title="Apache mod_proxy",
        mode="x-forwarded-for",
        setup="You proxy with ProxyPass, leave ProxyAddHeaders on, and list the address of the "
        "Apache server as trusted_proxies.",
        trap="Up to 2.4.53 a client makes Apache drop the header with 'Connection: "
        "X-Forwarded-For' (CVE-2022-31813). With ProxyAddHeaders off, Apache passes on the "
        "client's own text.",
        source="https://httpd.apache.org/docs/2.4/mod/mod_proxy.html",
        checked=READ,
    ),
    # With a port the form is "[client-ip-address]:client-port-number", and "when the load
    # balancer appends the client-ip-address to the existing header, it encloses the address
    # in square brackets": both are in the grammar. X-Forwarded-Proto is "stored"; that a
    # client's own value is replaced is not said, so it is not declared.
    "aws-alb": Preset(
        title="AWS Application Load Balancer",
        mode="x-forwarded-for",
        setup="You leave X-Forwarded-For processing at append, and list the subnets of the "
        "load balancer as trusted_proxies.",
        trap="In preserve mode the header is whatever the client sends, and in remove mode "
        "there is none. With client port preservation each address carries a port, which is "
        "read as well.",
        source="https://docs.aws.amazon.com/elasticloadbalancing/latest/application/"
        "x-forwarded-headers.html",
        checked=READ,
    ),
    # "gets the IP address of the viewer from the TCP connection, appends it to the end of
    # the X-Forwarded-For header" (the copy is of about 2020). CloudFront-Viewer-Address is
    # documented for v4 alone, as address:port; code that reads it in production has met
    # 2a09:bac1:3b20:38::17e:7:51786, which the grammar reads as one address. X-Forwarded-For
    # is not among the headers that Lambda@Edge may not write. X-Forwarded-Proto is removed.
    "aws-cloudfront": Preset(
        title="Amazon CloudFront",
        mode="x-forwarded-for",
        setup="You list the CLOUDFRONT_ORIGIN_FACING networks of AWS's ip-ranges.json as "
        "trusted_proxies, and add an origin custom header with a secret, for edge_secret.",
        trap="Any AWS customer can point a distribution at your server and rewrite "
        "X-Forwarded-For there. CloudFront-Viewer-Address is not read, because its port "
        "follows a v6 address without brackets.",
        source="https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/"
        "RequestAndResponseBehaviorCustomOrigin.html",
        checked=READ,
        shared=True,
    ),
    # "App Service will overwrite any existing header so they cannot be spoofed" is all that
    # is documented. From a capture of a Linux app: Client-Ip "174.173.70.196:55246", over a
    # private endpoint "[fd40:e775:...]:55028", and the peer 169.254.129.1 without a port:
    # peer_port is not borne out. The networks of the front ends are not documented.
    "azure-app-service": Preset(
        title="Azure App Service",
        mode="header",
        header="client-ip",
        setup="You list the address that the front end connects from as trusted_proxies; App "
        "Service publishes none, so you read the peer of a first request.",
        trap="The peer is a link-local address, which 'private' does not cover. Behind Front "
        "Door, a gateway or a private endpoint the header holds their address, not the "
        "client's.",
        source="https://github.com/Azure/app-service-linux-docs/blob/HEAD/"
        "Things_You_Should_Know/headers.md",
        checked=READ,
    ),
    # The page (of 2024-03-27) calls X-Azure-SocketIP the address of the TCP connection,
    # unlike the client IP, which "can be arbitrarily overwritten by a user"; that a client's
    # own X-Azure-SocketIP is dropped follows from that, and is not said. X-Forwarded-Proto
    # and -Host: "Any previous value is overridden". The networks: "IP address filtering
    # alone isn't sufficient", and "use the AzureFrontDoor.Backend service tag instead of
    # hard-coding IP addresses" (origin-security, of 2023-10-02).
    "azure-front-door": Preset(
        title="Azure Front Door",
        mode="header",
        header="x-azure-socketip",
        setup="You list the networks of the service tag AzureFrontDoor.Backend as "
        "trusted_proxies, and set edge_secret=('X-Azure-FDID', <your Front Door ID>).",
        trap="Other customers reach your server from the same networks, and the networks "
        "change regularly. X-Azure-ClientIP is not read, because a client can overwrite it.",
        source="https://learn.microsoft.com/en-us/azure/frontdoor/front-door-http-headers-protocol",
        checked=READ,
        shared=True,
        scheme_header="x-forwarded-proto",
        host_header="x-forwarded-host",
    ),
    # "For these X-Forwarded-* headers, by default, the proxy will ignore their values from
    # incoming requests, to prevent spoofing." By default, not always: with trusted_proxies
    # the scheme and the host are passed on, so they are not declared.
    "caddy": Preset(
        title="Caddy",
        mode="x-forwarded-for",
        setup="You use reverse_proxy, and list the address of the Caddy server as trusted_proxies.",
        trap="Behind a CDN, Caddy drops what the CDN sent until you set trusted_proxies in "
        "Caddy too. It passes on a client's own X-Real-IP, which is not read.",
        source="https://caddyserver.com/docs/caddyfile/directives/reverse_proxy",
        checked=READ,
    ),
    # CF-Connecting-IP and "If the client set a different value, it will be overwritten" (of
    # X-Forwarded-Proto) are on the page. Loopback is not: Cloudflare's examples have
    # http://localhost:8000 as the service, and whoever connects to localhost is loopback.
    # Mode "cloudflare" does not fit: cloudflared adds no edge address to X-Forwarded-For.
    "cloudflare-tunnel": Preset(
        title="Cloudflare Tunnel",
        mode="header",
        header="cf-connecting-ip",
        setup="You run cloudflared beside the app, with http://localhost as the service. If it "
        "runs in a container or on another machine, you list its address as trusted_proxies.",
        trap="Whatever else connects over loopback, such as a second proxy, can write the "
        "header. You let the app listen on loopback alone, so that nobody comes around the "
        "tunnel.",
        source="https://developers.cloudflare.com/fundamentals/reference/http-headers/",
        checked=READ,
        networks=("127.0.0.0/8", "::1/128"),
        scheme_header="x-forwarded-proto",
    ),
    # "Envoy will only append to XFF if the use_remote_address HTTP connection manager option
    # is set to true and the skip_xff_append is set false." X-Forwarded-Proto is overwritten
    # only while xff_num_trusted_hops is 0, so it is not declared.
    "envoy": Preset(
        title="Envoy",
        mode="x-forwarded-for",
        setup="You set use_remote_address to true, leave skip_xff_append at false, and list "
        "the address of the Envoy proxy as trusted_proxies.",
        trap="use_remote_address is false by default, and then Envoy passes on the client's "
        "own X-Forwarded-For. X-Envoy-External-Address is not read, because internal requests "
        "keep what they brought.",
        source="https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/"
        "headers",
        checked=READ,
    ),
    # "The value is not protected from modification at the edge of the Fastly network, so if
    # a client sets this header themselves, we will use it. If you want to prevent this, set
    # the value yourself in VCL." X-Forwarded-For is the road not taken: "Fastly modifies the
    # XFF header only on secure connections", so over plain HTTP all of it is the client's.
    "fastly": Preset(
        title="Fastly",
        mode="header",
        header="fastly-client-ip",
        setup="You overwrite the header in vcl_recv on the first visit of a request (set "
        "req.http.Fastly-Client-IP = client.ip), then you say edge_overwrites=True.",
        trap="Without that VCL a client names its own address. Other customers' services reach "
        "your server from the same networks with any header, so you send a secret for "
        "edge_secret.",
        source="https://www.fastly.com/documentation/reference/http/http-headers/Fastly-Client-IP/",
        checked=READ,
        networks=ranges.FASTLY,
        edge_overwrites=False,
        shared=True,
    ),
    # "the last address (rightmost) in this list will be a shared or dedicated IP address
    # assigned to your app." That a client's own Fly-Client-IP is replaced is a test by
    # another project (arcjet-js issue 5412), not the page. Fly publishes no networks for its
    # proxy; people report 172.16.0.0/12 and fdaa::/16.
    "fly": Preset(
        title="Fly.io",
        mode="header",
        header="fly-client-ip",
        setup="You use the http handler, and list the address that Fly Proxy connects from as "
        "trusted_proxies; Fly publishes none, so you read the peer of a first request.",
        trap="With a CDN in front of Fly the header holds the CDN's address. X-Forwarded-For "
        "is not read, because its last entry is your app's own address.",
        source="https://fly.io/docs/networking/request-headers/",
        checked=READ,
    ),
    # "X-Forwarded-For: <existing-value>,<client-ip>,<load-balancer-ip>", and "The load
    # balancer does not verify any IP addresses that precede" these two. The page was read in
    # quotations of it; the table of networks in a copy of 2026-04-15 (ranges.py).
    "gcp-lb": Preset(
        title="Google Cloud external Application Load Balancer",
        mode="x-forwarded-for",
        hops=2,
        setup="You use a global load balancer with instance groups or zonal NEGs. For a "
        "regional one you list its proxy-only subnet as trusted_proxies.",
        trap="The last entry is the load balancer's own address, the one before it the client, "
        "and all to the left is the client's text. With a CDN in front you write hops=3.",
        source="https://docs.cloud.google.com/load-balancing/docs/https",
        checked=READ,
        networks=ranges.GOOGLE_FRONT_ENDS,
    ),
    # "this header is always appended at the end of the existing header list, the server must
    # be configured to always use the last occurrence of this header only". if-none is from a
    # capture of 2.6. X-Forwarded-Proto is passed on.
    "haproxy": Preset(
        title="HAProxy",
        mode="x-forwarded-for",
        setup="You set 'option forwardfor' in the frontend or in defaults, and list the address "
        "of the HAProxy server as trusted_proxies.",
        trap="Without the option HAProxy passes on the client's own header, and with if-none it "
        "lets that one stand. Its own entry is a line of its own, after the client's.",
        source="https://docs.haproxy.org/2.8/configuration.html",
        checked=READ,
    ),
    # "the originating IP detected by the router is appended to the right-side of the list."
    # The legacy router (github.com/heroku/vegur, add_or_append_header) appends to the first
    # line of several. What Router 2.0 does there, and whether it overwrites a client's
    # X-Forwarded-Proto (vegur does), was not found; nor were networks of the routers.
    "heroku": Preset(
        title="Heroku",
        mode="x-forwarded-for",
        setup="You list the network that the routers connect from as trusted_proxies; Heroku "
        "publishes none, so you read the peers of a few requests.",
        trap="The legacy router adds the client to the first of several X-Forwarded-For lines, so "
        "a request with two lines is unresolved. A WSGI server joins the lines, and a client "
        "then writes the last entry.",
        source="https://devcenter.heroku.com/articles/http-routing",
        checked=READ,
        one_line=True,
    ),
    # The page lists X-Real-IP, X-Forwarded-For and others as added by Kinsta, and names
    # "CF-Connecting-IP to record the client IP in the application's activity log". It does
    # not say what becomes of a client's own values, nor who connects to the app. That
    # Cloudflare writes CF-Connecting-IP is on Cloudflare's page (cloudflare-tunnel, above).
    "kinsta": Preset(
        title="Kinsta Application Hosting",
        mode="header",
        header="cf-connecting-ip",
        setup="You list the address that Kinsta's ingress connects from as trusted_proxies; "
        "Kinsta publishes none, so you read the peer of a first request.",
        trap="X-Real-IP and X-Forwarded-For are not read, because Kinsta does not say what "
        "becomes of a client's own values.",
        source="https://kinsta.com/docs/application-hosting/application-reference/"
        "application-http-request-headers/",
        checked=READ,
    ),
    # "the X-Forwarded-For client request header field with the $remote_addr variable appended
    # to it, separated by a comma" ($proxy_add_x_forwarded_for). What nginx does without that
    # line, and with the realip module, is from captures of 1.22.
    "nginx": Preset(
        title="nginx",
        mode="x-forwarded-for",
        setup="You write 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;', and "
        "list the address of the nginx server as trusted_proxies.",
        trap="Without that line nginx passes on the client's own header. With the realip module "
        "$remote_addr is what a header says, so set_real_ip_from covers your proxies alone.",
        source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html",
        checked=READ,
    ),
    # The page is about trustedIPs and insecure. That X-Real-Ip and X-Forwarded-Proto are kept
    # where the peer is trusted, and that a websocket gets ws or wss, is in the source text
    # (pkg/middlewares/forwardedheaders/forwarded_header.go). CVE-2024-45410: a client could
    # have headers removed, "except the header X-Forwarded-For".
    "traefik": Preset(
        title="Traefik",
        mode="x-forwarded-for",
        setup="You leave forwardedHeaders.insecure off, and list the address of the Traefik "
        "server as trusted_proxies.",
        trap="X-Real-IP is not read, because Traefik keeps a client's own where "
        "forwardedHeaders.trustedIPs covers the peer. You list your CDN there, never the "
        "networks of clients.",
        source="https://doc.traefik.io/traefik/routing/entrypoints/",
        checked=READ,
    ),
}
"""Sorted by name. Cloudflare itself is a mode (modes.py), no preset."""

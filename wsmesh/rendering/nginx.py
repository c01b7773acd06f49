"""nginx, open source, 1.18 and later (ngx_http_upstream_module): `render nginx`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

from balancers import KEYED
from wsmesh.config.addresses import TCPAddress
from wsmesh.config.sections import Config
from wsmesh.rendering.upstream import (
    Rendered,
    Upstream,
    always_lost,
    comment,
    keys,
    needs_key,
    silence,
    weights,
)

_METHODS = {
    "p2c": "random two least_conn;",
    "least_connections": "least_conn;",
    "least_load": "least_conn;",
    "peak_ewma": "least_conn;",
    "random": "random;",
    "round_robin": "",
    "weighted_round_robin": "",
    "first": "",
}

_VARIABLES = {"cookie": ("cookie_", "$http_cookie", r"(?:^|;\s*)", ";"),
              "query": ("arg_", "$args", "(?:^|&)", "&")}
"""Prefix of nginx' own variables; for other names what to search, what is before and after."""

_TEMPLATE = """\
{comment}
worker_processes auto;
worker_rlimit_nofile {files};

events {{
    worker_connections {connections};
}}

http {{
    access_log off;

    map $http_upgrade $wsmesh_connection {{
        default upgrade;
        ""      "";
    }}
{maps}
    upstream wsmesh {{
        zone wsmesh 256k;
{method}{servers}
    }}

    server {{
        listen {listen};
{tls}        client_header_timeout {head};

        location / {{
            proxy_pass {scheme}://wsmesh;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $wsmesh_connection;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_buffering off;
            proxy_connect_timeout {connect};
            proxy_read_timeout {silence};
            proxy_send_timeout {silence};
            proxy_next_upstream error timeout http_503;
            proxy_next_upstream_tries {tries};
{cookie}        }}
    }}
}}
"""


def nginx(config: Config, upstreams: Sequence[Upstream], listen: TCPAddress) -> Rendered:
    """Return an nginx.conf.

    :param listen: where clients connect.
    """
    lost = [
        *always_lost(config),
        "nodes are not checked: one that hangs is noticed when clients time out on it, one that "
        "drains when it refuses a client, who is sent on to the next",
        "the health score does not count",
    ]
    strategy = config.balancer.strategy
    if config.balancer.slow_start.enabled:
        lost.append("[balancer.slow_start]: a new node gets its full share at once")
    if strategy == "peak_ewma":
        lost.append("peak_ewma: slow handshakes do not count, connections do")
    if strategy == "bounded_load":
        lost.append("bounded_load: keys stay on their node however full it is")
    if strategy == "first":
        lost.append("first: the second node gets clients when the first is full, then all others")
    if strategy in KEYED:
        lost.append("keys belong to other nodes than with the gateway: its hash is another")
    if strategy not in _METHODS and strategy not in KEYED:
        lost.append(f"{strategy} is unknown to nginx: clients go to the fewest connections")
    if config.balancer.sticky.enabled and strategy not in KEYED:
        lost.append(f"[balancer.sticky]: nginx has no such memory; keys are hashed, {strategy} "
                    "is not used")
    if any(each.proxy_protocol == "required" for each in config.listeners):
        lost.append("proxy_protocol: nginx sends none to HTTP upstreams; set it to off and put "
                    "nginx into [proxy] trusted_proxies")
    is_keyed = needs_key(config, KEYED) or bool(config.affinity.cookie)
    maps, cookie = _maps(config, lost) if is_keyed else ("", "")
    connections = 2 * config.node.max_connections * max(1, len(upstreams))
    text = _TEMPLATE.format(
        comment=comment(lost, "nginx"), files=connections + 1000, connections=connections,
        maps=maps, method=_method(config, is_keyed),
        servers=_servers(config, upstreams, packs=strategy == "first" and not is_keyed),
        listen=f"{listen} ssl" if config.tls.certificate else listen, tls=_tls(config),
        scheme="https" if any(each.tls for each in config.listeners) else "http",
        connect=_milliseconds(config.gateway.connect_timeout),
        head=_milliseconds(config.limits.handshake_timeout),
        silence=_milliseconds(silence(config)), tries=config.gateway.attempts, cookie=cookie,
    )
    return Rendered(text, tuple(lost))


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _method(config: Config, is_keyed: bool) -> str:
    method = "hash $wsmesh_key consistent;" if is_keyed else _METHODS.get(
        config.balancer.strategy, "least_conn;"
    )
    return f"        {method}\n" if method else ""


def _servers(config: Config, upstreams: Sequence[Upstream], *, packs: bool) -> str:
    lines = []
    for number, (each, weight) in enumerate(zip(upstreams, weights(upstreams), strict=True)):
        options = f"weight={weight} max_conns={config.node.max_connections} fail_timeout=2s"
        if packs and number:
            options += " backup"
        lines.append(f"        server {each.address} {options};")
    return "\n".join(lines)


def _tls(config: Config) -> str:
    if not config.tls.certificate:
        return ""
    versions = "TLSv1.3" if config.tls.minimum_version == "1.3" else "TLSv1.2 TLSv1.3"
    return (
        f"        ssl_certificate {config.tls.certificate};\n"
        f"        ssl_certificate_key {config.tls.key};\n"
        f"        ssl_protocols {versions};\n"
    )


def _maps(config: Config, lost: list[str]) -> tuple[str, str]:
    """Return the maps that find the key, and the line that sets the cookie of who has none."""
    affinity = config.affinity
    variables, text = [], ""
    for kind, name in keys(config):
        if kind == "claim":
            lost.append(f"claim:{name}: nginx reads no tokens")
            continue
        variable, found = _variable(kind, name)
        variables.append(variable)
        text += "" if found in text else found
    if any(variable == "$remote_addr" for variable in variables):
        lost.append("ip: all of an address counts, not ipv4_prefix and ipv6_prefix bits of it")
    cookie = given = ""
    if affinity.cookie:
        given, found = _variable("cookie", affinity.cookie)
        text += "" if found in text else found
        variables += [given, "$request_id"]
        lost.append("[affinity] cookie is not signed: whoever writes one chooses a node")
        cookie = "            add_header Set-Cookie $wsmesh_cookie always;\n"
    for number in range(len(variables) - 1, 0, -1):
        # The first that is not empty: each map falls back to the one after it.
        fallback = variables[number] if number == len(variables) - 1 else f"$wsmesh_key_{number}"
        name = "wsmesh_key" if number == 1 else f"wsmesh_key_{number - 1}"
        first = variables[number - 1]
        text += f"\n    map {first} ${name} {{\n        default {first};\n"
        text += f'        ""      {fallback};\n    }}\n'
    if len(variables) == 1:
        only = variables[0]
        text += f"\n    map {only} $wsmesh_key {{\n        default {only};\n    }}\n"
    if not variables:
        lost.append("[affinity] keys: none that nginx can read; clients are placed at random")
        text = "\n    map $request_id $wsmesh_key {\n        default $request_id;\n    }\n"
    if affinity.cookie:
        secure = " Secure;" if affinity.cookie_secure == "always" or config.tls.certificate else ""
        set_ = f"{affinity.cookie}=$request_id; Path=/; HttpOnly;{secure} SameSite="
        set_ += affinity.cookie_same_site.capitalize()
        text += f"\n    map {given} $wsmesh_cookie {{\n        default \"\";\n"
        text += f'        ""      "{set_}";\n    }}\n'
    return text, cookie


def _variable(kind: str, name: str) -> tuple[str, str]:
    """Return the variable that has a key, and the map that makes it when nginx has none itself."""
    if kind == "ip":
        return "$remote_addr", ""
    if kind == "header":
        return f"$http_{name.replace('-', '_').lower()}", ""
    prefix, searched, before, after = _VARIABLES[kind]
    if re.fullmatch(r"\w+", name, re.ASCII):
        return f"${prefix}{name}", ""
    # nginx would read $arg_my-room as $arg_my and "-room": one key for everybody.
    number = f"{crc32(name.encode()):08x}"
    found, value = f"wsmesh_{kind}_{number}", f"wsmesh_{kind[0]}_{number}"
    pattern = f"~{before}{re.escape(name)}=(?<{value}>[^{after}]+)"
    return f"${found}", (
        f'\n    map {searched} ${found} {{\n        default "";\n'
        f'        "{pattern}" ${value};\n    }}\n'
    )

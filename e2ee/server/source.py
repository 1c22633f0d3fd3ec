"""Who a connection counts as for the limits: an IPv4 address, or an IPv6 /64. Pure."""

from __future__ import annotations

import ipaddress

LOCAL = "local"
"""Everything that has no IP address, such as a UNIX socket, is one source."""

_NETWORK_BITS = 64
"""What one customer gets of IPv6 at least: single addresses of it cost nothing."""


def source_of(host: str) -> str:
    """The source of a peer's address in text form; an IPv4 address mapped into IPv6 is IPv4."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return LOCAL
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((address, _NETWORK_BITS), strict=False))
        return str(address.ipv4_mapped)
    return str(address)

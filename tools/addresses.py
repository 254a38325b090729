"""Which network addresses a request may reach.

Three levels, each with its own connection pool, so that a connection opened under one is never
used under a stricter one.
"""

import ipaddress
from enum import IntEnum
from functools import lru_cache

from tools.errors import ErrorKind, RunError

__all__ = ["AddressPolicy", "check_address"]

# Addresses that answer with a machine's own cloud credentials and are not link-local by range.
_METADATA = frozenset(
    {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressPolicy(IntEnum):
    """How far a request may go; a higher level includes the lower ones."""

    #: Addresses of the public internet.
    PUBLIC = 0
    #: Private and loopback ones too.
    PRIVATE = 1
    #: Link-local and cloud metadata ones too: only with the system's consent.
    ANY = 2


def check_address(host: str, address: str, policy: AddressPolicy) -> None:
    """Refuse an address the policy does not include.

    Raises `RunError` of kind `blocked_address`; `host` is the name that led to the address.
    """
    needed = _policy_for(address)
    if needed <= policy:
        return
    seen = host if host == address else f"{host} ({address})"
    if needed is AddressPolicy.PRIVATE:
        raise RunError(
            ErrorKind.BLOCKED_ADDRESS,
            f"{seen} is a private address; this server reaches public addresses only",
            hint="set CALLSLIP_ALLOW_PRIVATE=1, or allowPrivate on the tool's system",
        )
    raise RunError(
        ErrorKind.BLOCKED_ADDRESS,
        f"{seen} is a link-local or cloud metadata address",
        hint="only a system with allowPrivate may be reached there",
    )


@lru_cache(maxsize=1024)
def _policy_for(address: str) -> AddressPolicy:
    return _needed_policy(ipaddress.ip_address(address.partition("%")[0]))


def _needed_policy(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> AddressPolicy:
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and address in _NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return _needed_policy(embedded)
    if address.is_link_local or address in _METADATA:
        return AddressPolicy.ANY
    if not address.is_global or address.is_multicast:
        return AddressPolicy.PRIVATE
    return AddressPolicy.PUBLIC

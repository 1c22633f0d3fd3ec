"""The server's certificate and its backup key: found, made, or made anew, with the same key or the next.

Knows the state directory's files and what must stand in a certificate; `net.x509` makes them.
Everything here blocks for some milliseconds: before the reactor runs, or in a thread.
"""

from __future__ import annotations

import re
import socket
from datetime import datetime
from pathlib import Path

from e2ee.errors import Failure
from e2ee.net import x509
from e2ee.net.connect_link import ConnectLink
from e2ee.server.configuration import Configuration, ConfigurationError
from e2ee.server.state_directory import (
    BACKUP_KEY,
    CERTIFICATE,
    FOR_OTHERS,
    StateDirectory,
    StateRefused,
    read_file,
    refuse_readable,
)

RENEWAL_DAYS = 30
"""From here on operators are warned, and a self-made certificate is made anew."""
LOOPBACK = ("localhost", "127.0.0.1")
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - looked for, not bound
_INTERFACE = re.compile(r":interface=((?:\\.|[^:\\])*)")


def interface_of(listen: str) -> str:
    """The interface of a Twisted endpoint description; empty for all of them."""
    found = _INTERFACE.search(listen)
    return re.sub(r"\\(.)", r"\1", found.group(1)) if found else ""


def is_loopback(interface: str) -> bool:
    """Whether only this machine can reach it."""
    return interface in ("localhost", "::1") or interface.startswith("127.")


def link_host(hosts: tuple[str, ...], bound: str) -> str:
    """The host of the connect link: the first that was given, else what this host is called."""
    if hosts:
        return hosts[0]
    return "localhost" if is_loopback(bound) else socket.gethostname().lower()


def certificate_names(configuration: Configuration) -> tuple[str, ...]:
    """What a self-made certificate names: all hosts, and loopback where the server listens there."""
    interface = interface_of(configuration.listen)
    names = [*configuration.hosts]
    if not names:
        names.append(link_host((), interface))
    if is_loopback(interface) or interface in _EVERYWHERE:
        names += LOOPBACK
    return tuple(dict.fromkeys(names))


def load(configuration: Configuration, state: StateDirectory, now: datetime) -> x509.Credentials:
    """What new connections are shown.

    Raises ConfigurationError for what was given, StateRefused and x509.CredentialsRefused for files of
    the state directory, and StateRefused for a private key that others can read.
    """
    certificate, private_key = configuration.certificate, configuration.private_key
    if certificate is not None and private_key is not None:
        return _given(certificate, private_key, now)
    credentials = _self_made(certificate_names(configuration), state, now)
    credentials.check(now)
    return credentials


def is_self_made(credentials: x509.Credentials) -> bool:
    """Whether the certificate vouches for itself, so that the server can make another one."""
    certificate = credentials.certificate
    return len(credentials.chain) == 1 and certificate.issuer == certificate.subject


def days_left(credentials: x509.Credentials, now: datetime) -> int:
    """Whole days until the leaf expires; below 0 when it has."""
    return (credentials.certificate.not_valid_after_utc - now).days


def unnamed_hosts(configuration: Configuration, credentials: x509.Credentials) -> tuple[str, ...]:
    """The hosts of the configuration that the certificate does not name: clients refuse it there."""
    named = {name.lower() for name in x509.names_of(credentials.certificate)}
    wildcards = {name[1:] for name in named if name.startswith("*.")}
    return tuple(
        host for host in configuration.hosts
        if host not in named and host[host.find(".") :] not in wildcards
    )  # fmt: skip


def _given(certificate: Path, private_key: Path, now: datetime) -> x509.Credentials:
    try:
        pems = read_file(certificate), read_file(private_key)
        credentials = x509.load_credentials(*pems)
        credentials.check(now)
    except (StateRefused, x509.CredentialsRefused) as error:
        raise ConfigurationError(str(error)) from None
    refuse_readable(private_key, FOR_OTHERS)
    return credentials


def _self_made(names: tuple[str, ...], state: StateDirectory, now: datetime) -> x509.Credentials:
    """Made at first start; made again, with the same key and so the same pin, for other names or years."""
    key = None
    if state.has(CERTIFICATE):
        found = x509.load_credentials(state.read(CERTIFICATE))
        lasting = days_left(found, now) >= RENEWAL_DAYS
        if not is_self_made(found) or (lasting and set(names) <= set(x509.names_of(found.certificate))):
            return found
        key = found.key
    made = x509.make_self_signed(names, now, key=key)
    state.write(CERTIFICATE, made.to_pem())
    return made


def first_backup_pin(state: StateDirectory) -> bytes:
    """The pin of a backup key, made now if this start is the first. A later loss is never mended."""
    if not state.has(BACKUP_KEY):
        state.write(BACKUP_KEY, x509.make_backup_key())
    return x509.key_pin(state.read(BACKUP_KEY))


def backup_pin_here(state: StateDirectory) -> bytes | None:
    """The pin of the backup key that lies in the state directory, if one does."""
    return x509.key_pin(state.read(BACKUP_KEY)) if state.has(BACKUP_KEY) else None


def certify_backup_key(
    configuration: Configuration, state: StateDirectory, key_pem: bytes, now: datetime
) -> x509.Credentials:
    """A self-made certificate for the backup key, which is the server's own from now on."""
    made = x509.make_self_signed(certificate_names(configuration), now, key=x509.load_key(key_pem))
    state.write(CERTIFICATE, made.to_pem())
    return made


def next_backup_pin(state: StateDirectory, active_pin: bytes) -> bytes:
    """Make the next backup key, and return its pin. Raises StateRefused rather than lose another key."""
    if backup_pin_here(state) not in (None, active_pin):
        raise StateRefused(
            f"{state.path / BACKUP_KEY} holds another key than the one that is in use now: move it away first"
        )
    state.write(BACKUP_KEY, x509.make_backup_key())
    return x509.key_pin(state.read(BACKUP_KEY))


def connect_link(hosts: tuple[str, ...], bound: str, port: int, pins: tuple[bytes, ...]) -> str:
    """The link that clients need. Raises StateRefused if this host's own name cannot stand in it."""
    host = link_host(hosts, bound)
    try:
        return str(ConnectLink(host, port, tuple(dict.fromkeys(pins))))
    except Failure:
        raise StateRefused(f"{host!a} cannot stand in a connect link: name the host with --host") from None

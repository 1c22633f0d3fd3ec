"""Make a private certification authority, and certificates of servers and people: see README.md.

    python certs/make_certs.py ca DIR --name "Our company"
    python certs/make_certs.py server DIR --host chat.example.org --host 192.0.2.10
    python certs/make_certs.py renew DIR
    python certs/make_certs.py server DIR --host chat.example.org --key backup-key.pem
    python certs/make_certs.py identity DIR --number +15550100101 --name "Alice Example"
    python certs/make_certs.py revoke DIR DIR/+15550100101-certificate.pem
    python certs/make_certs.py crl DIR

Knows files and options; certificates are the business of `e2ee.net.x509`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from e2ee.errors import InvalidAddress
from e2ee.ids import Address
from e2ee.net import identity_issuing, x509
from e2ee.net.connect_link import format_pin
from e2ee.net.identity_issuing import IDENTITY_YEARS, REVOCATION_LIST_DAYS, IdentityKeyKind

CA_YEARS = 10
SERVER_YEARS = 2


class Refused(Exception):
    """What was asked for cannot be done; the text says why."""


def main(arguments: Sequence[str], now: datetime.datetime, out: Callable[[str], object]) -> int:
    """Run one command; the exit code. `out` gets what a person reads."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options, now, out)
    except (Refused, x509.CredentialsRefused) as reason:
        out(f"make_certs: {reason}\n")
        return 1
    except OSError as error:
        out(f"make_certs: {error.filename}: {error.strerror}\n")
        return 1
    return 0


def make_ca(options: argparse.Namespace, now: datetime.datetime, out: Callable[[str], object]) -> None:
    """A new authority: ca.pem for clients (`register --ca`), ca-key.pem for nobody."""
    options.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _must_be_new(options.dir / "ca-key.pem")
    authority = x509.make_authority(options.name, now, options.years, _kind(options))
    _write(options.dir / "ca-key.pem", x509.key_to_pem(authority.key))
    _write(options.dir / "ca.pem", x509.certificates_to_pem(authority.chain))
    out(f"made {options.dir / 'ca.pem'}; keep {options.dir / 'ca-key.pem'} off the server\n")


def make_server(options: argparse.Namespace, now: datetime.datetime, out: Callable[[str], object]) -> None:
    """A new key, or that of --key, and a certificate for it."""
    if options.key is None:
        _must_be_new(options.dir / "server-key.pem")
        key = _kind(options).generate()
    else:
        key = x509.load_key(options.key.read_bytes())
    credentials = x509.issue(_authority(options.dir), options.host, now, options.years, key)
    _write(options.dir / "server-key.pem", x509.key_to_pem(credentials.key))
    _write(options.dir / "server-certificate.pem", x509.certificates_to_pem(credentials.chain))
    _report(options.dir, credentials, out)


def renew_server(options: argparse.Namespace, now: datetime.datetime, out: Callable[[str], object]) -> None:
    """Another certificate for the same key: the pin, and so every connect link, stays."""
    old = x509.load_credentials(
        (options.dir / "server-certificate.pem").read_bytes(), (options.dir / "server-key.pem").read_bytes()
    )
    hosts = options.host or x509.names_of(old.certificate)
    credentials = x509.issue(_authority(options.dir), hosts, now, options.years, old.key)
    _write(options.dir / "server-certificate.pem", x509.certificates_to_pem(credentials.chain))
    _report(options.dir, credentials, out)


def make_identity(options: argparse.Namespace, now: datetime.datetime, out: Callable[[str], object]) -> None:
    """A new key for a person, and a certificate for it and a phone number."""
    number = str(options.number)
    key_file, certificate_file = (options.dir / f"{number}-{what}.pem" for what in ("key", "certificate"))
    _must_be_new(key_file)
    authority, key = _authority(options.dir), _identity_kind(options).generate()
    certificate = identity_issuing.issue_identity(
        authority, number, options.name or number, key.public_key(), now, options.years
    )
    _write(key_file, identity_issuing.identity_key_to_pem(key))
    _write(certificate_file, x509.certificates_to_pem([certificate]))
    out(
        f"made {certificate_file}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}\n"
        f"e2ee identity attach {certificate_file} {key_file}\n"
    )


def revoke(options: argparse.Namespace, now: datetime.datetime, out: Callable[[str], object]) -> None:
    """Take certificates of people back: they stand in ca-crl.pem from now on."""
    revoked = [x509.load_certificates(path.read_bytes())[0] for path in options.certificates]
    path = options.dir / "ca-crl.pem"
    before = path.read_bytes() if path.exists() else None
    made = identity_issuing.make_revocation_list(_authority(options.dir), revoked, before, now, options.days)
    _write(path, made)
    out(f"made {path}, valid for {options.days} days; give it to those who trust this authority\n")


def _report(folder: Path, credentials: x509.Credentials, out: Callable[[str], object]) -> None:
    out(
        f"made {folder / 'server-certificate.pem'} for {', '.join(x509.names_of(credentials.certificate))}\n"
        f"valid until {credentials.certificate.not_valid_after_utc:%Y-%m-%d},"
        f" pin {format_pin(credentials.pin)}\n"
    )


def _authority(folder: Path) -> x509.Credentials:
    return x509.load_credentials((folder / "ca.pem").read_bytes(), (folder / "ca-key.pem").read_bytes())


def _kind(options: argparse.Namespace) -> x509.KeyKind:
    return x509.KeyKind.RSA_3072 if options.rsa else x509.KeyKind.ECDSA_P256


def _identity_kind(options: argparse.Namespace) -> IdentityKeyKind:
    if options.ed25519:
        return IdentityKeyKind.ED25519
    return IdentityKeyKind.RSA_3072 if options.rsa else IdentityKeyKind.ECDSA_P256


def _must_be_new(path: Path) -> None:
    if path.exists():
        raise Refused(f"{path} exists; a key is never replaced by accident")


def _write(path: Path, content: bytes) -> None:
    """With mode 0600 from the first moment, and whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _years(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 30:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number from 1 to 30")


def _number(text: str) -> Address:
    try:
        return Address.parse(text)
    except InvalidAddress as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _days(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 3660:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number from 1 to 3660")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make_certs", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="ca|server|renew|identity|revoke|crl")
    for name, command, years in (
        ("ca", make_ca, CA_YEARS),
        ("server", make_server, SERVER_YEARS),
        ("renew", renew_server, SERVER_YEARS),
        ("identity", make_identity, IDENTITY_YEARS),
    ):
        sub = _command(commands, name, command)
        sub.add_argument("--years", type=_years, default=years, help="valid for so long (%(default)s)")
        if name == "ca":
            sub.add_argument("--name", required=True, help="shown to whoever looks at the certificate")
        elif name == "identity":
            sub.add_argument("--number", type=_number, required=True, help="the account's, +15550100101")
            sub.add_argument("--name", help="shown to whoever looks at the certificate (the number)")
            sub.add_argument("--ed25519", action="store_true", help="an Ed25519 key, not ECDSA P-256")
        else:
            sub.add_argument(
                "--host", action="append", required=name == "server", help="a name or IP address; repeatable"
            )
        if name == "server":
            sub.add_argument(
                "--key", type=Path, help="for this private key, in the place of the present one"
            )
        if name != "renew":
            sub.add_argument("--rsa", action="store_true", help="an RSA key of 3072 bits, not ECDSA P-256")
    for name, help_text in (("revoke", None), ("crl", "The revocation list anew, with a later end.")):
        sub = _command(commands, name, revoke, help_text)
        sub.add_argument("--days", type=_days, default=REVOCATION_LIST_DAYS, help="valid for (%(default)s)")
        if name == "revoke":
            sub.add_argument("certificates", type=Path, nargs="+", metavar="CERTIFICATE")
        else:
            sub.set_defaults(certificates=[])
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[..., None],
    help_text: str | None = None,
) -> argparse.ArgumentParser:
    sub = commands.add_parser(name, help=(help_text or command.__doc__ or "").rstrip("."))
    sub.set_defaults(command=command)
    sub.add_argument("dir", type=Path, metavar="DIR", help="where the files are kept")
    return sub


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], datetime.datetime.now(datetime.UTC), sys.stdout.write))

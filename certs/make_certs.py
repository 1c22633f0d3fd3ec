"""Make a private certification authority and server certificates: see README.md beside this file.

    python certs/make_certs.py ca DIR --name "Our company"
    python certs/make_certs.py server DIR --host chat.example.org --host 192.0.2.10
    python certs/make_certs.py renew DIR
    python certs/make_certs.py server DIR --host chat.example.org --key backup-key.pem

Knows files and options; certificates are the business of `e2ee.net.x509`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from e2ee.net import x509
from e2ee.net.connect_link import format_pin

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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make_certs", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="ca|server|renew")
    for name, command, years in (
        ("ca", make_ca, CA_YEARS),
        ("server", make_server, SERVER_YEARS),
        ("renew", renew_server, SERVER_YEARS),
    ):
        sub = commands.add_parser(name, help=(command.__doc__ or "").rstrip("."))
        sub.set_defaults(command=command)
        sub.add_argument("dir", type=Path, metavar="DIR", help="where the files are kept")
        sub.add_argument("--years", type=_years, default=years, help="valid for so long (%(default)s)")
        if name == "ca":
            sub.add_argument("--name", required=True, help="shown to whoever looks at the certificate")
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
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], datetime.datetime.now(datetime.UTC), sys.stdout.write))

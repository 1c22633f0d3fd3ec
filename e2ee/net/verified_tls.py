"""TLS to servers that are not e2ee's: a mail server, a web service. Authorities vouch for them, not pins.

Chain, name and validity are always verified, and there is no option that skips it. Knows neither what
is said over the connection nor where certificates of authorities are kept.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet import ssl

from e2ee.net.x509 import load_certificates


def system_roots() -> Any:
    """The authorities that this machine believes, as Twisted's `trustRoot`."""
    return ssl.platformTrust()


def roots_from_pem(pem: bytes) -> Any:
    """These authorities and no others, as Twisted's `trustRoot`. Raises CredentialsRefused."""
    found = load_certificates(pem)
    return ssl.trustRootFromCertificates(
        [ssl.Certificate(crypto.X509.from_cryptography(each)) for each in found]
    )


def verified_context(host: str, roots: Any) -> Any:
    """For one connection to this host: TLS 1.2 or newer, vouched for by `roots`."""
    return ssl.optionsForClientTLS(
        host, trustRoot=roots, extraCertificateOptions={"raiseMinimumTo": ssl.TLSVersion.TLSv1_2}
    )


def is_tls_failure(error: BaseException | None) -> bool:
    """Whether a connection has ended since the certificate was refused, or TLS failed in another way."""
    return isinstance(error, (SSL.Error, VerificationError))

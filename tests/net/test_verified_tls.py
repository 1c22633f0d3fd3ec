"""TLS to servers of others: what is no certificate, and which failures are those of TLS.

That wrong certificates are refused is seen with real servers, in the tests of the code senders.
"""

from __future__ import annotations

import datetime
import time

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from e2ee.net import x509
from e2ee.net.verified_tls import is_tls_failure, roots_from_pem, system_roots, verified_context


class VerifiedTlsTests(SynchronousTestCase):
    def test_what_is_no_certificate_is_refused(self) -> None:
        for pem in (b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            self.assertRaises(x509.CredentialsRefused, roots_from_pem, pem)

    def test_several_authorities_in_one_file(self) -> None:
        now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        pem = b"".join(x509.certificates_to_pem(x509.make_authority(name, now, 1).chain) for name in "ab")
        verified_context("mail.example.org", roots_from_pem(pem))

    def test_names_and_addresses(self) -> None:
        for host in ("mail.example.org", "192.0.2.1", "2001:db8::1"):
            verified_context(host, system_roots())

    def test_failures_of_tls_and_others(self) -> None:
        for error in (SSL.Error([("a", "b", "c")]), VerificationError([])):
            self.assertTrue(is_tls_failure(error))
        for other in (ConnectionDone(), OSError(), None):
            self.assertFalse(is_tls_failure(other))

"""Certificates for tests. OpenSSL looks at the real clock, so they are valid for a long time."""

from __future__ import annotations

import datetime
from typing import Final

from e2ee.net.x509 import Credentials, make_self_signed

NOW: Final = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
"""When they were made."""


def self_signed(*names: str) -> Credentials:
    """Credentials of a server with these names (127.0.0.1 if none), valid for a hundred years."""
    return make_self_signed(names or ("127.0.0.1",), NOW, years=100)

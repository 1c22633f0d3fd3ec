"""What the rooms of the server are put together from."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.composition import Surroundings


class SurroundingsTests(SynchronousTestCase):
    """The server's secret opens its database."""

    def test_the_secret_is_in_no_repr(self) -> None:
        nothing: Any = None
        around = Surroundings(nothing, nothing, nothing, nothing, nothing, b"secret" * 6, b"pin")
        self.assertNotIn("secretsecret", repr(around))

"""Makes the link of an open profile over the real network.

Knows how its parts are composed; tests of conversations make another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from e2ee.client.context import LinkPort
from e2ee.client.link import Link, LinkState
from e2ee.client.linking.channel import connector
from e2ee.client.profile import OpenProfile
from e2ee.crypto.primitives import Entropy
from e2ee.wire.messages import Message

MakeLink = Callable[[Callable[[Message], None], Callable[[LinkState], None]], LinkPort]
"""Makes a link, given what it calls with pushes and with states."""


def network_link(open_profile: OpenProfile, reactor: Any, entropy: Entropy, once: bool) -> MakeLink:
    """Makes the link to the profile's server; with `once` it does not try a second time."""

    def make(on_push: Callable[[Message], None], on_state: Callable[[LinkState], None]) -> LinkPort:
        return Link(
            reactor,
            connector(reactor),
            open_profile.server,
            open_profile.own,
            entropy,
            on_push=on_push,
            on_state=on_state,
            once=once,
        )

    return make

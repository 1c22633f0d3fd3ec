"""What the vault and the link know of the state of things.

Works without a connection. Knows no way of printing.
"""

from __future__ import annotations

from e2ee.client.context import Context
from e2ee.client.events import Status
from e2ee.client.profile import OpenProfile
from e2ee.store.client import arrivals, outbox, prekeys
from e2ee.store.client.prekeys import PreKeyKind
from e2ee.store.connection import Connection


async def find_status(context: Context, profile: OpenProfile) -> Status:
    """How this profile stands at this moment."""
    state, up = context.link_state, context.is_up
    server, _, pins = str(profile.server.link).removeprefix("e2ee://").partition("/")

    def load(tx: Connection) -> tuple[int, int, int, int]:
        return (
            outbox.count_waiting(tx),
            arrivals.count_unshown(tx),
            prekeys.count_prekeys(tx, PreKeyKind.ONE_TIME),
            prekeys.count_prekeys(tx, PreKeyKind.KEM_ONE_TIME),
        )

    waiting, unshown, one_time, kem_one_time = await context.vault.read(load)
    return Status(
        connected=up,
        key_exchange=state.key_exchange if up else None,
        peer_pin=state.peer_pin if up else None,
        outbox=waiting,
        unshown=unshown,
        one_time_prekeys=one_time,
        kem_one_time_prekeys=kem_one_time,
        failure=None if up else state.failure,
        address=context.own.address,
        device=context.own.device,
        server=server,
        pin=pins.split(",")[0],
        passphrase=str(profile.passphrase_source),
    )

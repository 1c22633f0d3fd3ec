"""A prover for tests: SPAKE2 in this process, at once, with the same bound on places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.defer import Deferred

from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, respond
from e2ee.server.workers import Respond, busy


class InProcessProver:
    """Counts how often it was asked; `gate`, if set, is waited for before each answer."""

    def __init__(self, entropy: Callable[[int], bytes], places: int = 64) -> None:
        self._entropy = entropy
        self._places = places
        self.asked = 0
        self.taken = 0
        self.gate: Deferred[None] | None = None

    @contextmanager
    def place(self) -> Iterator[Respond]:
        """See `e2ee.server.workers.Prover`."""
        if self.taken >= self._places:
            raise busy()
        self.taken += 1
        try:
            yield self._respond
        finally:
            self.taken -= 1

    async def _respond(
        self, code: str, identities: ProofIdentities, a: bytes
    ) -> tuple[bytes, Confirmations]:
        self.asked += 1
        if self.gate is not None:
            await self.gate
        return respond(code, identities, a, self._entropy)

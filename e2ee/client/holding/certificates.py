"""X.509 certificates and authorities of one profile, through whichever process holds its vault.

Knows what can be asked for; neither what holds it (`identities`, `authorities`) nor who answers.
"""

from __future__ import annotations

from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.roaming import Roaming
from e2ee.client.identification.certificate_values import OwnIdentity, TrustedAuthority
from e2ee.ids import Address


class Certificates:
    """The own certificate, those of contacts, and who may vouch for them."""

    def __init__(self, roaming: Roaming) -> None:
        self._ask = roaming.ask

    # --- the own one ------------------------------------------------------------------------

    async def attach(self, certificate_pem: bytes, key_pem: bytes) -> OwnIdentity:
        """Have the server hand this certificate out, with its key's signature over the own account.

        The key is not kept. Raises Failure: USAGE for a certificate that proves nothing, UNREACHABLE where
        the answer does not come: it may have been done then.
        """
        return await self._ask(lambda: h.AttachIdentity(certificate_pem, key_pem))

    async def remove(self) -> None:
        """Have it handed out no more. Raises Failure as `attach`."""
        await self._ask(h.RemoveIdentity)

    async def own(self) -> OwnIdentity | None:
        """What the server hands out for the own number; None: nothing. Raises Failure."""
        return await self._ask(h.AskOwnIdentity)

    # --- those of contacts ------------------------------------------------------------------

    async def is_open(self, address: Address) -> bool:
        """Whether an authority is trusted, and none certifies the account key of this number."""
        return await self._ask(lambda: h.IsIdentityOpen(address))

    async def ask(self, address: Address) -> None:
        """Ask the directory about a number whose account key is known. Raises Failure."""
        await self._ask(lambda: h.AskIdentity(address))

    async def ask_for_all(self) -> None:
        """Ask about those in the address book whom no authority certifies. Raises Failure."""
        for address in await self._ask(h.OpenIdentities):
            await self.ask(address)

    # --- authorities ------------------------------------------------------------------------

    async def authorities(self) -> list[TrustedAuthority]:
        """Those that are trusted, by name."""
        return list(await self._ask(h.AskAuthorities))

    async def trust(self, certificates_pem: bytes | None, lists: bytes | None) -> list[TrustedAuthority]:
        """Trust the authorities of a file, and keep revocation lists (PEM, or one in DER) of trusted ones.

        Returns those that were named. Raises Failure(USAGE), nothing changed, for what is none, is not
        valid now, or is a list that no trusted authority has signed, or an older one than is here.
        """
        return list(await self._ask(lambda: h.TrustAuthorities(certificates_pem, lists)))

    async def distrust(self, which: str) -> TrustedAuthority:
        """Trust one no more, by its name or the beginning of its fingerprint. Raises Failure(USAGE)."""
        return await self._ask(lambda: h.Distrust(which))

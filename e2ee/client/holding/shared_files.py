"""Files of one profile, through whichever process holds its vault.

Knows how they are asked for; not who answers. The process that holds the vault reads and writes them: it
runs for the same user, and paths are whole ones.
"""

from __future__ import annotations

from e2ee.client.events import FileFacts, SentMessage
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.roaming import Roaming
from e2ee.crypto.primitives import Entropy
from e2ee.ids import Address, MessageId


class SharedFiles:
    """What is sent with messages, and what comes with them."""

    def __init__(self, roaming: Roaming, entropy: Entropy) -> None:
        self._ask = roaming.ask
        self._entropy = entropy

    async def queue(
        self, to: Address, path: str, text: str = "", message_id: MessageId | None = None
    ) -> SentMessage:
        """Send a file: it is uploaded by itself, and then its message goes out.

        `path` is a whole path of a regular file, which must not change until then. The same id with the
        same file, text and recipient is one message. Raises Failure(USAGE), nothing kept.
        """
        chosen = message_id or MessageId(self._entropy(MessageId.SIZE))
        return await self._ask(lambda: h.QueueFile(to, path, text, chosen))

    async def want(
        self, address: Address, message_id: MessageId, folder: str | None = None
    ) -> FileFacts | None:
        """Have the file of a message that came in fetched, as soon as its sender is accepted; FileReceived
        tells when it is there. `folder` is a whole path, or the profile's own, where it goes without this
        call, too, once the message counts as shown. None: it has no file."""
        return await self._ask(lambda: h.WantFile(address, message_id, folder))

    async def fetching(self) -> int:
        """How many files of others are on their way, or waiting for their turn; not those that the own disk
        does not take."""
        return await self._ask(h.Fetching)

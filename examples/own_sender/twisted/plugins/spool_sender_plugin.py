"""Names the sender to e2ee. Imports no sender, since every twistd command loads this file."""

from e2ee.server.senders.interface import SenderPlugin

spool = SenderPlugin("spool", "spool:DIRECTORY", "spool_sender")

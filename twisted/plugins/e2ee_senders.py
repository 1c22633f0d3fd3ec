"""Names the code senders that come with e2ee; imports none, since every twistd command loads this file."""

from e2ee.server.senders.interface import SenderPlugin

console = SenderPlugin("console", "console", "e2ee.server.senders.console")
file = SenderPlugin("file", "file:PATH", "e2ee.server.senders.file")
command = SenderPlugin("command", "command:PATH", "e2ee.server.senders.command")
smtp = SenderPlugin("smtp", "smtp://USER@HOST:PORT/?from=…&routes=FILE", "e2ee.server.senders.smtp")
smtps = SenderPlugin("smtps", "smtps://USER@HOST:PORT/?from=…&routes=FILE", "e2ee.server.senders.smtp")
https = SenderPlugin("https", "https://HOST/PATH#json=FILE", "e2ee.server.senders.https")

"""Names the server to twistd; imports nothing of it, since every twistd command loads this file."""

from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker(
    "e2ee server", "e2ee.server.tap", "An end-to-end encrypted messenger's relay.", "e2ee-server"
)

"""Where the holder's socket lies, and who may use it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from e2ee.client.holding import holder_socket
from e2ee.client.holding.holder_socket import (
    PATH_BYTES,
    is_own_user,
    listen,
    peer_uid,
    socket_name,
    socket_path,
)
from e2ee.errors import Code, Failure


class PlaceTests(SynchronousTestCase):
    """docs/command-line.md, "One holder, many commands"."""

    def setUp(self) -> None:
        # Short, as a socket's path has to be: the test's own directory may be deep.
        self.root = Path(tempfile.mkdtemp(prefix="e2ee-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.root)], check=True)
        self.runtime = self.root / "run"
        self.runtime.mkdir(mode=0o700)
        self.profile = self.root / "data" / "default"
        self.profile.mkdir(parents=True)
        self.patch(tempfile, "tempdir", str(self.root / "tmp"))
        (self.root / "tmp").mkdir()

    def path(self, **environment: str) -> Path:
        return socket_path(self.profile, environment)

    def test_it_lies_in_the_users_runtime_directory(self) -> None:
        path = self.path(XDG_RUNTIME_DIR=str(self.runtime))
        self.assertEqual(path.parent, self.runtime / "e2ee")
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
        self.assertTrue(path.name.endswith(".sock"))

    def test_else_in_a_private_directory_among_the_temporary_files(self) -> None:
        for environment in ({}, {"XDG_RUNTIME_DIR": "run"}, {"XDG_RUNTIME_DIR": str(self.root / "none")}):
            path = self.path(**environment)
            self.assertEqual(path.parent, self.root / "tmp" / f"e2ee-{os.geteuid()}")
            self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)

    def test_a_directory_that_others_can_enter_or_a_link_is_not_used(self) -> None:
        self.patch(holder_socket, "_places", lambda _: [self.root / "a", self.root / "b", self.root / "c"])
        (self.root / "a").mkdir()
        (self.root / "a").chmod(0o755)
        (self.root / "elsewhere").mkdir(mode=0o700)
        (self.root / "b").symlink_to(self.root / "elsewhere")
        self.assertEqual(self.path().parent, self.root / "c")
        (self.root / "c").chmod(0o777)
        with self.assertRaises(Failure) as caught:
            self.path()
        self.assertIs(caught.exception.code, Code.FAILED)

    def test_somebody_elses_directory_is_not_used(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can make one")
        directory = self.root / "tmp" / "e2ee-0"
        directory.mkdir(mode=0o700)
        os.chown(directory, 65534, 65534)
        self.patch(holder_socket, "_places", lambda _: [directory])
        self.assertRaises(Failure, self.path)
        os.chown(self.runtime, 65534, 65534)
        self.assertFalse(holder_socket._belongs_to_us(self.runtime))

    def test_a_path_that_is_too_long_gives_way_to_a_shorter_one(self) -> None:
        deep = self.runtime
        while len(str(deep)) < PATH_BYTES:
            deep = deep / "deeper"
        deep.mkdir(parents=True)
        path = self.path(XDG_RUNTIME_DIR=str(deep))
        self.assertEqual(path.parent.parent, self.root / "tmp")
        self.assertLessEqual(len(os.fsencode(path)), PATH_BYTES)

    def test_the_longest_path_can_be_bound(self) -> None:
        name = self.root / ("x" * (PATH_BYTES - len(str(self.root)) - 1))
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(name))
        with socket.socket(socket.AF_UNIX) as bound, self.assertRaises(OSError):
            bound.bind(str(name) + "xx")

    def test_each_profile_has_its_own_whatever_way_leads_to_it(self) -> None:
        (self.root / "link").symlink_to(self.root / "data")
        self.assertEqual(socket_name(self.profile), socket_name(self.root / "link" / "default"))
        self.assertNotEqual(socket_name(self.profile), socket_name(self.root / "data" / "other"))


CONNECT = """
import os, socket, sys
if len(sys.argv) > 2:
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
sys.stdout.buffer.write(connection.recv(10))
"""


class Greeter(Protocol):
    """Says whether it knows its peer."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(b"own" if is_own_user(transport) else b"other")
        transport.loseConnection()


class PeerTests(TestCase):
    """Real sockets: the kernel says who is at the other end."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="e2ee-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.root)], check=True)
        self.path = self.root / "x.sock"

    def listening(self) -> None:
        port: Any = listen(reactor, self.path, Factory.forProtocol(Greeter))
        self.addCleanup(port.stopListening)

    async def connected_as(self, *user: str) -> bytes:
        from twisted.internet.utils import getProcessOutput

        arguments = ("-c", CONNECT, str(self.path), *user)
        found: bytes = await getProcessOutput(sys.executable, arguments, dict(os.environ), errortoo=True)
        return found

    def test_the_same_user_is_known(self) -> Deferred[None]:
        async def run() -> None:
            self.listening()
            self.assertEqual(await self.connected_as(), b"own")

        return ensureDeferred(run())

    def test_another_user_is_known_as_such_even_where_modes_let_him_in(self) -> Deferred[None]:
        if os.geteuid() != 0:
            raise SkipTest("only root can become somebody else")

        async def run() -> None:
            self.listening()
            refused = await self.connected_as("65534")
            self.assertIn(b"PermissionError", refused)
            self.root.chmod(0o755)
            self.path.chmod(0o777)
            self.assertEqual(await self.connected_as("65534"), b"other")

        return ensureDeferred(run())

    def test_it_is_private_from_its_first_moment_and_replaces_what_a_dead_holder_left(self) -> None:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(self.path))
        modes: list[int] = []
        original: Any = reactor.listenUNIX  # type: ignore[attr-defined]

        def listen_unix(*arguments: Any, **settings: Any) -> Any:
            modes.append(os.umask(0o077))
            return original(*arguments, **settings)

        self.patch(reactor, "listenUNIX", listen_unix)
        before = os.umask(0o022)
        try:
            self.listening()
            self.assertEqual(os.umask(0o022), 0o022)
        finally:
            os.umask(before)
        self.assertEqual(modes, [0o077])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_what_is_no_unix_socket_belongs_to_nobody(self) -> None:
        with socket.socket() as tcp:
            self.assertNotEqual(peer_uid(tcp), os.geteuid() if os.geteuid() else -1)
        with socket.socket() as closed:
            pass
        self.assertIsNone(peer_uid(closed))

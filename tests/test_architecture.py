"""The walls of the house, held by its import graph (`docs/architecture.md`).

Every import counts, wherever it stands in a file. What a package may import is listed; all of the
standard library is allowed unless it is forbidden by name.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import e2ee
from e2ee.wire import messages

ROOT = Path(e2ee.__file__).parent.parent
MODULE_LINES = 300
FUNCTION_LINES = 50
DECLARATIONS = {
    "e2ee/wire/messages.py", "e2ee/store/server/ports.py", "e2ee/client/holding/holder_messages.py",
    "e2ee/client/events.py",
}  # fmt: skip
"""Lists of declarations without code: one place for each is worth more than few lines."""

TWISTED = {"twisted", "zope"}
BASE = {"e2ee.errors", "e2ee.ids"}
SHOWS_ITS_VERSION = {"e2ee.server", "e2ee.ui"}
"""Rooms that import `e2ee` itself, for __version__."""

ALLOWED: dict[str, set[str]] = {
    "e2ee": set(),
    "e2ee.errors": {"attrs", "msgspec"},
    "e2ee.ids": {"attrs", "msgspec", "phonenumbers", "e2ee.errors"},
    "e2ee.qr": {"segno"},
    "e2ee.wire": BASE | {"e2ee.wire", "msgspec"},
    "e2ee.crypto": BASE | {"e2ee.crypto"},
    "e2ee.crypto.primitives": {"cryptography"},
    "e2ee.crypto.kem_primitives": {"cryptography"},
    "e2ee.crypto.passcode_proof": {"spake2"},
    "e2ee.store": BASE | TWISTED | {"e2ee.store", "sqlcipher3"},
    "e2ee.net": BASE | TWISTED | {"e2ee.net", "e2ee.wire", "OpenSSL", "service_identity"},
    "e2ee.net.x509": {"cryptography"},
    "e2ee.net.authority": {"cryptography"},
    "e2ee.net.certificate_path": {"cryptography"},
    "e2ee.net.identity_issuing": {"cryptography"},
    "e2ee.net.identity_key": {"cryptography"},
    "e2ee.server": BASE
    | TWISTED
    | {"e2ee.server", "e2ee.wire", "e2ee.store", "e2ee.net", "msgspec", "treq", "prometheus_client"}
    | {"click", "e2ee.qr", "phonenumbers"}
    | {
        f"e2ee.crypto.{name}"
        for name in ("signing", "keys", "prekeys", "account_statement", "passcode_proof", "passcode_store")
    },
    "e2ee.client": BASE
    | TWISTED
    | {"e2ee.client", "e2ee.wire", "e2ee.crypto", "e2ee.store", "e2ee.net"}
    | {"msgspec", "keyring", "platformdirs"},
    "e2ee.ui": BASE | TWISTED | {"e2ee.ui", "e2ee.qr", "click", "prompt_toolkit"}
    | {
        f"e2ee.client.{name}"
        for name in (
            "profile", "messenger", "agent", "events", "config", "backups.backup", "backups.restore",
            "contacts.contact_file", "contacts.contact_values", "holding.agent_socket",
            "identification.certificate_values", "identification.identity_files",
            "profiles.new_passphrase", "profiles.profile_list", "registering.enrolment",
            "registering.registration",
        )
    },
    "e2ee.testing": {"*"},
}
"""What each package may import; a module of its own in the list adds to its package."""

FORBIDDEN: dict[str, set[str]] = {
    "e2ee.wire": {"time", "datetime", "os", "random", "secrets", "socket", "asyncio", "logging"},
    "e2ee.crypto": {"time", "datetime", "os", "random", "secrets", "socket", "asyncio", "logging"},
    "e2ee.server": {"e2ee.store.client"},
    "e2ee.client": {"e2ee.store.server"},
}
"""What is not allowed although the list above would allow it."""

SECRET_ROOMS = {
    f"e2ee.crypto.{name}"
    for name in (
        "handshake", "ratchet", "chains", "sealing", "session", "envelope", "content", "secret_keys",
    )
}  # fmt: skip
"""What the server must not reach by any path: what reads messages, and private keys of users."""


IDENTITY_ROOMS = {
    "e2ee.crypto.certified_identity",
    "e2ee.net.authority",
    "e2ee.net.certificate_path",
    "e2ee.net.identity_issuing",
    "e2ee.net.identity_key",
}
"""X.509 certificates of people and their authorities: the business of clients."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "e2ee").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(name: str) -> Iterator[str]:
    """The dotted names that a module imports; of our own package, always modules."""
    for node in ast.walk(tree(modules()[name])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield f"relative import in {name}"
            elif node.module is not None:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in modules() else node.module


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def rules_for(name: str, rules: dict[str, set[str]]) -> set[str]:
    return {each for package, what in rules.items() if within(name, {package}) for each in what}


def closure(start: set[str]) -> set[str]:
    """All modules of ours that these import, directly or not; packages count with each module."""
    seen: set[str] = set()
    waiting = set(start)
    while waiting:
        name = waiting.pop()
        if name not in modules() or name in seen:
            continue
        seen.add(name)
        waiting |= {each for each in imports(name) if within(each, {"e2ee"})}
        if "." in name:
            waiting.add(name.rpartition(".")[0])
    return seen


class WallTests(SynchronousTestCase):
    """Who may import whom."""

    def test_every_package_has_its_rules(self) -> None:
        for path in (ROOT / "e2ee").iterdir():
            if path.is_dir() and path.name != "__pycache__":
                self.assertIn(f"e2ee.{path.name}", ALLOWED)

    def test_imports_stay_within_the_walls(self) -> None:
        wrong = []
        for name in modules():
            allowed = rules_for(name, ALLOWED)
            forbidden = rules_for(name, FORBIDDEN)
            for each in imports(name):
                standard = each.partition(".")[0] in sys.stdlib_module_names
                version = each == "e2ee" and within(name, SHOWS_ITS_VERSION)
                fine = standard or version or "*" in allowed or within(each, allowed)
                if within(each, forbidden) or not fine:
                    wrong.append(f"{name} imports {each}")
        self.assertEqual(wrong, [])

    def test_the_server_cannot_read_messages(self) -> None:
        reached = closure({name for name in modules() if within(name, {"e2ee.server"})})
        self.assertEqual(reached & SECRET_ROOMS, set())
        self.assertEqual({name for name in reached if within(name, {"e2ee.client", "e2ee.ui"})}, set())
        self.assertIn("e2ee.wire.messages", reached)

    def test_the_server_does_not_read_certificates_of_people(self) -> None:
        """It passes them on; a parser for what strangers upload would be a risk for nothing."""
        reached = closure({name for name in modules() if within(name, {"e2ee.server"})})
        self.assertEqual(reached & IDENTITY_ROOMS, set())
        self.assertEqual(IDENTITY_ROOMS - set(modules()), set())

    def test_the_rooms_that_the_server_must_not_enter_exist(self) -> None:
        self.assertEqual(SECRET_ROOMS - set(modules()), set())

    def test_fakes_are_imported_by_tests_only(self) -> None:
        for name in modules():
            if not within(name, {"e2ee.testing"}):
                self.assertFalse(any(within(each, {"e2ee.testing"}) for each in imports(name)), name)

    def test_packages_hold_a_docstring_and_no_imports(self) -> None:
        for name, path in modules().items():
            if path.name == "__init__.py":
                self.assertIsNotNone(ast.get_docstring(tree(path)), name)
                for node in tree(path).body[1:]:
                    self.assertTrue(
                        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__", name
                    )

    def test_nothing_makes_twisted_a_package_of_ours(self) -> None:
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_the_plugin_imports_nothing_of_ours(self) -> None:
        text = (ROOT / "twisted" / "plugins" / "e2ee_plugin.py").read_text("utf-8")
        names = [
            alias.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        ]
        self.assertEqual([each for each in names if within(each, {"e2ee"})], [])

    def test_no_module_takes_the_reactor_when_it_is_loaded(self) -> None:
        for name, path in modules().items():
            for node in tree(path).body:
                if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                    self.assertNotIn("reactor", [alias.name for alias in node.names], name)


class StyleTests(SynchronousTestCase):
    """Sizes and habits that a reader relies on."""

    def test_a_module_is_one_noun(self) -> None:
        long = {}
        for path in [*modules().values(), *(ROOT / "certs").glob("*.py")]:
            lines = len(path.read_text("utf-8").splitlines())
            short = str(path.relative_to(ROOT))
            if lines > MODULE_LINES and short not in DECLARATIONS:
                long[short] = lines
        self.assertEqual(long, {})

    def test_a_function_does_one_thing(self) -> None:
        long = {}
        for name, path in modules().items():
            for node in ast.walk(tree(path)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    if lines > FUNCTION_LINES:
                        long[f"{name}.{node.name}"] = lines
        self.assertEqual(long, {})

    def test_every_module_says_what_it_is(self) -> None:
        self.assertEqual(
            [name for name, path in modules().items() if not ast.get_docstring(tree(path))], []
        )

    def test_nothing_is_left_to_be_done(self) -> None:
        marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
        for name, path in modules().items():
            text = path.read_text("utf-8")
            self.assertEqual([mark for mark in marks if mark in text], [], name)


class MessageTests(SynchronousTestCase):
    """The messages of the wire are declared once, in one module."""

    def declared(self) -> list[str]:
        return [
            node.name
            for node in tree(modules()["e2ee.wire.messages"]).body
            if isinstance(node, ast.ClassDef) and issubclass(getattr(messages, node.name), messages.Message)
        ]

    def test_each_is_declared_once(self) -> None:
        self.assertEqual(len(self.declared()), len(set(self.declared())))

    def test_each_with_a_tag_belongs_to_one_side_and_the_others_are_parts(self) -> None:
        client, server = set(messages.ClientMessage.__args__), set(messages.ServerMessage.__args__)
        self.assertEqual(client & server, set())
        for name in self.declared():
            kind = getattr(messages, name)
            if kind is not messages.Message:
                self.assertIs(kind in client | server, kind.__struct_config__.tag is not None, name)

    def test_each_is_frozen_and_refuses_unknown_fields(self) -> None:
        for name in self.declared():
            config = getattr(messages, name).__struct_config__
            self.assertTrue(config.frozen and config.array_like and config.forbid_unknown_fields, name)

    def test_nothing_else_declares_messages(self) -> None:
        for name in modules():
            if name != "e2ee.wire.messages":
                for node in ast.walk(tree(modules()[name])):
                    if isinstance(node, ast.ClassDef):
                        bases = {ast.unparse(base) for base in node.bases}
                        self.assertFalse(bases & {"Message", "m.Message", "messages.Message"}, name)

"""The routing file: a line for each person, read again when it has changed, and exact about mistakes."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address
from e2ee.server.senders import routes as module
from e2ee.server.senders.interface import SenderRefused
from e2ee.server.senders.private_file import FILE_BYTES, read_private, read_secret
from e2ee.server.senders.routes import Routes, parse_routes
from tests.server.senders.ground import NUMBER, OTHER_NUMBER, private_file


class RoutesTests(SynchronousTestCase):
    def test_numbers_in_any_spelling_comments_and_blank_lines(self) -> None:
        text = "# people\n\n+1 (555) 010-0101   a@example.org  # since May\n"
        text += f"\t{OTHER_NUMBER}\tb@example.org\r\n"
        self.assertEqual(parse_routes(text), {NUMBER: "a@example.org", OTHER_NUMBER: "b@example.org"})

    def test_mistakes_are_named_by_their_line_and_not_repeated(self) -> None:
        for line in (
            "hunter2", "+15550100101", "a@example.org", "0155 a@example.org",
            f"{NUMBER} a@example.org b@example.org",
            f"{NUMBER} hunter2", f"{NUMBER} a@", f"{NUMBER} @example.org", f"{NUMBER} é@example.org",
            f"{NUMBER} a@b@example.org", f"{NUMBER} a\x00@example.org", f"{OTHER_NUMBER} again@example.org",
            f"{NUMBER} <a@example.org>", f'{NUMBER} "x"@example.org@', f"{NUMBER} a@example.org\x0bx",
        ):  # fmt: skip
            text = f"{OTHER_NUMBER} b@example.org\n{line}\n"
            refused = self.assertRaises(SenderRefused, parse_routes, text)
            self.assertIn("line 2 of the routing file", str(refused), line)
            self.assertNotIn("hunter2", str(refused))

    def test_it_is_read_again_when_it_has_changed_and_only_then(self) -> None:
        path = private_file(self, f"{NUMBER} a@example.org")
        routes = Routes(path)
        read: list[str] = []

        def counting(text: str) -> dict[Address, str]:
            read.append(text)
            return parse_routes(text)

        self.patch(module, "parse_routes", counting)
        self.assertEqual(routes.find(NUMBER), "a@example.org")
        self.assertIsNone(routes.find(OTHER_NUMBER))
        self.assertEqual(read, [])
        path.write_text(f"{OTHER_NUMBER} b@example.org")
        os.utime(path, ns=(1, 1))
        self.assertEqual((routes.find(NUMBER), routes.find(OTHER_NUMBER)), (None, "b@example.org"))
        self.assertEqual(len(read), 1)

    def test_a_file_that_has_become_wrong_gives_no_route_until_it_is_mended(self) -> None:
        path = private_file(self, f"{NUMBER} a@example.org")
        routes = Routes(path)
        path.write_text("nonsense at the length of nothing")
        for _ in range(2):
            self.assertRaises(SenderRefused, routes.find, NUMBER)
        path.write_text(f"{NUMBER} c@example.org")
        self.assertEqual(routes.find(NUMBER), "c@example.org")

    @settings(deadline=None, max_examples=100)
    @given(st.text(max_size=200))
    def test_any_text_is_routes_or_one_sentence(self, text: str) -> None:
        try:
            found = parse_routes(text)
        except SenderRefused as refused:
            self.assertRegex(str(refused), r"\Aline [0-9]+ of the routing file ")
        else:
            self.assertTrue(all("@" in email for email in found.values()))


class PrivateFileTests(SynchronousTestCase):
    def test_what_is_no_private_file_is_refused(self) -> None:
        folder = private_file(self, "x").parent / "folder"
        folder.mkdir()
        os.mkfifo(folder / "pipe", 0o600)
        os.symlink(private_file(self, "x", 0o644), folder / "link")
        for path in (folder, folder / "pipe", folder / "link", folder / "nothing"):
            self.assertRaises(SenderRefused, read_private, path, "file")

    def test_its_size_and_its_text(self) -> None:
        path = private_file(self, "x" * FILE_BYTES)
        self.assertEqual(len(read_private(path, "file")), FILE_BYTES)
        path.write_bytes(b"x" * (FILE_BYTES + 1))
        self.assertIn("larger than", str(self.assertRaises(SenderRefused, read_private, path, "file")))
        path.write_bytes(b"\xff")
        self.assertIn("UTF-8", str(self.assertRaises(SenderRefused, read_private, path, "file")))

    def test_a_secret_is_one_line(self) -> None:
        for text in ("pass word", "pass word\n", "pass word\r\n"):
            self.assertEqual(read_secret(private_file(self, text), "file"), "pass word")
        for text in ("", "\n", "hunter2\nmore", "hunter2\n\n", "hunter2\x00"):
            refused = self.assertRaises(SenderRefused, read_secret, private_file(self, text), "file")
            self.assertNotIn("hunter2", str(refused))

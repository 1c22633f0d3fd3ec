"""`contacts export` and `contacts import` as commands: docs/command-line.md, "Contacts in files"."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.household import ALICE, BOB, CAROL, Household


class ContactFileTests(SynchronousTestCase):
    """Two profiles; the server is not needed after the registration."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        link = self.house.start_server()
        self.house.register("alice", link, ALICE)
        self.house.register("dave", link, "+15550100104")
        self.house.stop_server()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def contacts(self, profile: str) -> str:
        return self.house.do(profile, "--json", "contacts").out

    def test_what_one_profile_exports_the_other_imports(self) -> None:
        for number, name in ((BOB, "bob, the \U0001f44d"), (CAROL, "=carol")):
            self.house.do("alice", "contacts", "add", number, name)
        for ending in ("vcf", "csv"):
            path = self.folder / f"people.{ending}"
            exported = self.house.do("alice", "--json", "contacts", "export", str(path))
            self.assertEqual((exported.status, exported.objects[0]["contacts"]), (0, 2), exported.err)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            self.assertEqual(self.house.do("alice", "contacts", "export", str(path)).status, 2)
            imported = self.house.do("dave", "contacts", "import", str(path))
            self.assertEqual((imported.status, imported.err), (0, ""))
            self.assertEqual(self.contacts("dave"), self.contacts("alice"))
        self.assertEqual(imported.out, f"imported {path} added 0 known 2 kept 0 left out 0\n")

    def test_a_file_with_one_wrong_entry_changes_nothing_unless_it_is_skipped(self) -> None:
        path = self.folder / "phone.vcf"
        path.write_text(
            f"BEGIN:VCARD\nFN:Bob\nTEL:{BOB}\nEND:VCARD\nBEGIN:VCARD\nFN:\x1b[2J\nTEL:{CAROL}\nEND:VCARD\n"
        )
        refused = self.house.do("alice", "--json", "contacts", "import", str(path))
        self.assertEqual((refused.status, refused.out, refused.error["code"]), (2, "", "usage"))
        self.assertIn("line 5", refused.err)
        self.assertNotIn("\x1b", refused.err)
        self.assertEqual(self.contacts("alice"), "")
        skipped = self.house.do("alice", "--json", "contacts", "import", "--skip", str(path))
        counts = skipped.objects[0]
        self.assertEqual((skipped.status, counts["added"], counts["left_out"]), (0, 1, 1))
        self.assertEqual(self.house.do("alice", "contacts", "import", str(self.folder / "none")).status, 2)

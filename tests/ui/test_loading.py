"""What a command loads before it does anything: a one-shot is quick only as long as this stays little."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase


def loaded(statement: str) -> set[str]:
    """The modules of a fresh interpreter after this statement, with every package above them."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )
    return set(shown.stdout.split())


class LoadingTests(SynchronousTestCase):
    """Each in a process of its own, since modules stay."""

    def test_help_and_usage_errors_need_no_reactor_no_keys_and_no_numbering_plans(self) -> None:
        found = loaded("import e2ee.ui.cli")
        self.assertIn("click", found)
        self.assertEqual(found & {"twisted", "cryptography", "sqlcipher3", "phonenumbers", "msgspec"}, set())

    def test_deriving_the_vaults_key_does_not_wait_for_what_talks_to_the_server(self) -> None:
        found = loaded("import e2ee.client.profile")
        self.assertIn("e2ee.store.client.vault", found)
        self.assertEqual(found & {"OpenSSL", "service_identity", "e2ee.client.link"}, set())

    def test_what_only_a_registration_needs_is_not_loaded_to_send(self) -> None:
        found = loaded("import e2ee.ui.sending, e2ee.client.messenger")
        self.assertIn("e2ee.client.link", found)
        self.assertEqual(found & {"spake2", "e2ee.client.registering.enrolment", "phonenumbers"}, set())

    def test_nothing_loads_the_line_editor_before_there_is_a_terminal(self) -> None:
        found = loaded("import e2ee.ui.cli, e2ee.ui.chatting, e2ee.client.messenger")
        self.assertIn("e2ee.ui.terminal_console", found)
        self.assertEqual(found & {"prompt_toolkit", "e2ee.ui.line_editor", "e2ee.ui.terminal_scene"}, set())

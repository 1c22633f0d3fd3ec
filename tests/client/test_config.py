"""`config.toml`: the settings of a profile."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import ChangedKey, Config, load_config, parse_config
from e2ee.errors import Code, Failure


class ConfigTests(SynchronousTestCase):
    """Each setting, its default, and what is refused."""

    def test_without_the_file_the_defaults_hold(self) -> None:
        self.assertEqual(load_config(Path(self.mktemp())), Config(False, True, True, ChangedKey.STOP))
        self.assertEqual(parse_config(""), Config())

    def test_every_setting_can_be_set(self) -> None:
        text = 'hidden = true\nreceipts = false\ntyping = false\nchanged_key = "warn"\n'
        self.assertEqual(parse_config(text), Config(True, False, False, ChangedKey.WARN))

    def test_what_is_unknown_or_of_the_wrong_kind_is_refused_by_name(self) -> None:
        for text, name in (
            ("hiden = true", "hiden"),
            ("hidden = 1", "hidden"),
            ('receipts = "yes"', "receipts"),
            ('changed_key = "ignore"', "changed_key"),
            ("changed_key = true", "changed_key"),
            ("[hidden]", "hidden"),
        ):
            with self.subTest(text=text), self.assertRaises(Failure) as raised:
                parse_config(text)
            self.assertEqual(raised.exception.code, Code.USAGE)
            self.assertIn(name, raised.exception.sentence)

    def test_what_is_not_toml_or_not_utf_8_is_refused_with_the_path(self) -> None:
        path = Path(self.mktemp())
        for content in (b"hidden =", b"hidden = true # \xff"):
            path.write_bytes(content)
            with self.subTest(content=content), self.assertRaises(Failure) as raised:
                load_config(path)
            self.assertEqual(raised.exception.code, Code.USAGE)
            self.assertIn(str(path), raised.exception.sentence)

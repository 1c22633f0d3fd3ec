"""Templates: the operator's document with values filled in, which never change its structure."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.senders.interface import SenderRefused
from e2ee.server.senders.template import PLACEHOLDERS, form_template, json_template, values_for
from tests.server.senders.ground import CODE, EXPIRES_AT, NUMBER

VALUES = values_for(NUMBER, CODE, EXPIRES_AT, "k")
names = st.text(st.characters(exclude_characters="=", exclude_categories=["C", "Z"]), min_size=1)


class TemplateTests(SynchronousTestCase):
    def test_there_is_a_value_for_each_placeholder(self) -> None:
        self.assertEqual(set(VALUES), set(PLACEHOLDERS))

    def test_placeholders_in_the_depth_of_a_document(self) -> None:
        template = json_template('{"a": [1, null, {"b": "x{code}y{address}"}], "{code}": true}')
        self.assertEqual(
            json.loads(template.fill(VALUES)), {"a": [1, None, {"b": f"x{CODE}y{NUMBER}"}], "{code}": True}
        )

    def test_other_braces_stay(self) -> None:
        template = json_template('"{} {Code} {1} { code } {{code}} {digits}"')
        self.assertEqual(
            json.loads(template.fill(VALUES)), f"{{}} {{Code}} {{1}} {{ code }} {{{CODE}}} {NUMBER[1:]}"
        )

    def test_what_has_no_code_no_number_or_something_unknown_is_refused(self) -> None:
        unknown = '["{code} {address} {phone}"]'
        for text in ('"{code}"', '"{address}"', '{"{code}": "{digits}"}', unknown, "17"):
            self.assertRaises(SenderRefused, json_template, text)
        for text in ("", "a={code}", "no equals", "={code}{address}", "{code}={address}"):
            self.assertRaises(SenderRefused, form_template, text)

    def test_what_is_no_json_is_refused_without_being_repeated(self) -> None:
        for text in ("{", "{code}{address}", '{"key": "hunter2"', "[" * 100_000):
            refused = self.assertRaises(SenderRefused, json_template, text)
            self.assertNotIn("hunter2", str(refused))

    def test_no_repr_shows_a_template(self) -> None:
        self.assertNotIn("hunter2", repr(json_template('"hunter2 {code} {digits}"')))

    @settings(deadline=None, max_examples=60)
    @given(st.text(), st.text())
    def test_no_value_leaves_its_place_in_a_document(self, code: str, address: str) -> None:
        template = json_template('{"to": "{address}", "code": "{code}"}')
        filled = template.fill({**VALUES, "code": code, "address": address})
        self.assertEqual(json.loads(filled), {"to": address, "code": code})

    @settings(deadline=None, max_examples=60)
    @given(names, st.text(st.characters(exclude_categories=["Cs"])))
    def test_no_value_leaves_its_place_in_a_form(self, name: str, code: str) -> None:
        template = form_template(f"{name}={{code}}\nto={{address}}")
        filled = template.fill({**VALUES, "code": code}).decode("ascii")
        self.assertEqual(
            parse_qsl(filled, keep_blank_values=True, strict_parsing=True), [(name, code), ("to", NUMBER)]
        )

    def test_times(self) -> None:
        self.assertEqual(VALUES["expires_at"], "2026-01-01T00:00:00.123Z")

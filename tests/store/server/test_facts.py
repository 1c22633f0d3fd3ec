"""Small facts survive, and the last word counts."""

from __future__ import annotations

from e2ee.store.server.facts import SqlFacts
from tests.store.server.sql import OnDatabase


class FactsTests(OnDatabase):
    """Names and bytes."""

    def test_facts(self) -> None:
        facts = SqlFacts(self.database)
        self.assertIsNone(self.done(facts.get("pin")))
        for value in (b"first", b"second"):
            self.done(facts.put("pin", value))
            self.assertEqual(self.done(facts.get("pin")), value)
        self.assertIsNone(self.done(facts.get("other")))

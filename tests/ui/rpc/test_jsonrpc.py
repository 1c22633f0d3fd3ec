"""The parser of requests: the specification's examples, and whatever else may come."""

from __future__ import annotations

import json
import string
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code, Failure
from e2ee.ui.rpc.jsonrpc import (
    BATCH_ENTRIES,
    FAILED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    Asked,
    Incoming,
    Refused,
    batch_text,
    error_of,
    error_text,
    notification_text,
    parse,
    result_text,
)
from tests.ui.described import check

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
MEMBERS = st.sampled_from(["jsonrpc", "method", "params", "id", "result"])
REQUESTS = st.dictionaries(MEMBERS, JSON | st.just("2.0") | st.text(string.ascii_lowercase), max_size=5)


def numbers(incoming: Incoming) -> list[int | str]:
    """Methods, and the numbers of what was refused."""
    return [one.method if isinstance(one, Asked) else one.error.number for one in incoming.entries]


class ParseTests(SynchronousTestCase):
    """https://www.jsonrpc.org/specification, sections 4 to 6, with the examples of section 7."""

    def one(self, line: str) -> Asked | Refused:
        incoming = parse(line)
        self.assertFalse(incoming.batch)
        self.assertEqual(len(incoming.entries), 1)
        return incoming.entries[0]

    def refused(self, line: str, number: int, identified: Any = None) -> None:
        found = self.one(line)
        assert isinstance(found, Refused), line
        self.assertEqual((found.error.number, found.id), (number, identified), line)

    def test_a_request(self) -> None:
        self.assertEqual(
            self.one('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}'),
            Asked("subtract", [42, 23], 1),
        )
        self.assertEqual(
            self.one('{"jsonrpc": "2.0", "method": "m", "params": {"a": 1}, "id": "x"}'),
            Asked("m", {"a": 1}, "x"),
        )
        self.assertEqual(self.one('{"jsonrpc":"2.0","method":"m","id":null}'), Asked("m", {}, None))

    def test_without_an_id_nobody_wants_an_answer(self) -> None:
        self.assertEqual(self.one('{"jsonrpc":"2.0","method":"m"}'), Asked("m", {}, None, answered=False))

    def test_what_is_not_json(self) -> None:
        deep = "[" * 100_000
        for line in (
            '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
            "[",
            "{}x",
            "NaN",
            deep,
            '{"jsonrpc":"2.0","method":"m","id":Infinity}',
            '{"jsonrpc":"2.0","method":"m","id":1e999}',
            "1" * 5000,
        ):
            self.refused(line, PARSE_ERROR)

    def test_what_is_no_request(self) -> None:
        for line in (
            '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
            "1",
            "null",
            '"text"',
            "{}",
            "[]",
            '{"jsonrpc":"2.0","method":"m","id":{}}',
            '{"jsonrpc":"2.0","method":"m","id":true}',
            '{"method":"m"}',
            '{"jsonrpc":2.0,"method":"m"}',
        ):
            self.refused(line, INVALID_REQUEST)
        self.refused('{"jsonrpc":"2.0","method":1,"id":7}', INVALID_REQUEST, 7)
        self.refused('{"jsonrpc":"2.0","method":"m","params":1,"id":7}', INVALID_REQUEST, 7)

    def test_a_batch(self) -> None:
        found = parse('[{"jsonrpc":"2.0","method":"a","id":1},{"jsonrpc":"2.0","method":"b"},{"foo":1},1]')
        self.assertTrue(found.batch)
        self.assertEqual(numbers(found), ["a", "b", INVALID_REQUEST, INVALID_REQUEST])

    def test_a_batch_has_its_bound(self) -> None:
        full = parse(json.dumps([1] * BATCH_ENTRIES))
        self.assertEqual(len(full.entries), BATCH_ENTRIES)
        self.refused(json.dumps([1] * (BATCH_ENTRIES + 1)), INVALID_REQUEST)

    def test_whatever_comes_something_is_answered_and_nothing_raised(self) -> None:
        @settings(deadline=None, max_examples=200)
        @given(
            st.text() | JSON.map(json.dumps) | REQUESTS.map(json.dumps) | st.lists(REQUESTS).map(json.dumps)
        )
        def check_line(line: str) -> None:
            incoming = parse(line)
            self.assertTrue(incoming.entries)
            for one in incoming.entries:
                if isinstance(one, Refused):
                    said = json.loads(error_text(one.id, one.error))
                    check(said, "#/$defs/rpc")
                    self.assertIn(one.error.number, (PARSE_ERROR, INVALID_REQUEST))
                else:
                    self.assertIsInstance(one.method, str)

        check_line()

    def test_every_good_request_is_read_as_it_was_written(self) -> None:
        ids = st.none() | st.text() | st.integers(-(2**53), 2**53)
        params = st.lists(JSON, max_size=3) | st.dictionaries(st.text(), JSON, max_size=3)
        finite = params.filter(
            lambda value: "NaN" not in json.dumps(value) and "Inf" not in json.dumps(value)
        )

        @settings(deadline=None, max_examples=100)
        @given(st.text(), finite, ids)
        def check_request(method: str, given_params: Any, identified: Any) -> None:
            body = {"jsonrpc": "2.0", "method": method, "params": given_params, "id": identified}
            self.assertEqual(self.one(json.dumps(body)), Asked(method, given_params, identified))

        check_request()


class AnswerTests(SynchronousTestCase):
    """Section 5: an answer has its request's id, and a result or an error."""

    def test_each_is_one_line_of_ascii_that_the_schema_describes(self) -> None:
        failure = error_of(Failure(Code.RATE_LIMITED, "wäit\n", 2.5))
        for text in (
            result_text("ä\n", '{"a":1}'),
            error_text(1.5, failure),
            notification_text(
                "gap", '{"type":"gap","from":"+15550100102","missing":1,"name":null,"repeated":false}'
            ),
            batch_text([result_text(1, "[]"), error_text(None, failure)]) or "",
        ):
            self.assertTrue(text.isascii() and text.isprintable())
            check(json.loads(text), "#/$defs/rpc")

    def test_failures_have_our_codes(self) -> None:
        said = json.loads(error_text(1, error_of(Failure(Code.RATE_LIMITED, "later", 2.5))))["error"]
        self.assertEqual(said["code"], FAILED)
        self.assertEqual(said["data"], {"code": "rate_limited", "message": "later", "retry_after": 2.5})
        self.assertEqual(error_of(Failure(Code.USAGE, "no")).number, INVALID_PARAMS)

    def test_a_batch_of_notifications_has_no_answer(self) -> None:
        self.assertIsNone(batch_text([]))

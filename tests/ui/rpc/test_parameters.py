"""Parameters of methods: what is accepted is what the schema says."""

from __future__ import annotations

from typing import Any

from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.rpc.jsonrpc import INVALID_PARAMS, RpcError
from e2ee.ui.rpc.parameters import Count, Flag, Parameter, Seconds, Text, Texts, given, schema_of

PARAMETERS = (
    Parameter("to", Texts(), "whom", required=True),
    Parameter("text", Text(), "what"),
    Parameter("wait", Text(choices=("a", "b")), "how far"),
    Parameter("flag", Flag(), "whether"),
    Parameter("max", Count(5), "how many"),
    Parameter("timeout", Seconds(), "how long"),
)
VALUES: st.SearchStrategy[Any] = (
    st.booleans() | st.integers(-1, 7) | st.floats(-1, 10.0**8, allow_nan=False)
    | st.sampled_from(["a", "z", ""]) | st.lists(st.sampled_from(["a", 1]), max_size=2) | st.just({})
)  # fmt: skip


class GivenTests(SynchronousTestCase):
    """JSON-RPC 2.0, section 4.2: by name, or in their order."""

    def refused(self, params: Any) -> None:
        error = self.assertRaises(RpcError, given, PARAMETERS, params)
        self.assertEqual(error.number, INVALID_PARAMS, params)

    def test_by_name_and_by_position(self) -> None:
        self.assertEqual(given(PARAMETERS, {"to": ["x"], "flag": True}), {"to": ["x"], "flag": True})
        self.assertEqual(
            given(PARAMETERS, ["x", "hello", None, False]), {"to": "x", "text": "hello", "flag": False}
        )

    def test_both_sides_of_what_can_be(self) -> None:
        both: tuple[tuple[str, tuple[Any, ...], tuple[Any, ...]], ...] = (
            ("max", (1, 5), (0, 6, True, 1.5, "1")),
            ("timeout", (0, 0.5, 10.0**7), (-1, 10.0**7 + 1, True, "1")),
            ("wait", ("a",), ("c", "", 1)),
            ("text", ("", "ä\0", "\ud7ff\ue000"), ("\ud800", "\udfff", 1, [])),
            ("to", ("x", ["x", "y"]), ([], [1], 1, ["\udfff"])),
            ("flag", (True, False), (0, 1, "true")),
        )
        described = Draft202012Validator(schema_of(PARAMETERS))
        for name, good, bad in both:
            for value in good:
                self.assertEqual(given(PARAMETERS, {"to": "x", name: value})[name], value)
                self.assertTrue(described.is_valid({"to": "x", name: value}), (name, value))
            for value in bad:
                self.refused({"to": "x", name: value})
                # JSON Schema has no words for valid Unicode.
                if value not in ("\ud800", "\udfff", ["\udfff"]):
                    self.assertFalse(described.is_valid({"to": "x", name: value}), (name, value))

    def test_missing_unknown_and_too_many(self) -> None:
        wrong: tuple[Any, ...] = ({}, [], {"to": None}, {"to": "x", "other": 1})
        for params in wrong:
            self.refused(params)
        all_of_them = ["x", "hello", "a", True, 5, 0.5]
        self.assertEqual(len(given(PARAMETERS, all_of_them)), len(PARAMETERS))
        for one_more in ("x", None):
            self.refused([*all_of_them, one_more])

    def test_each_is_described_in_words_and_by_its_pattern(self) -> None:
        one = Parameter("id", Text(pattern="^[0-9a-f]{32}$"), "which")
        [described] = schema_of([one])["properties"].items()
        expected = {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "which"}
        self.assertEqual(described, ("id", expected))

    def test_what_is_accepted_is_what_is_described(self) -> None:
        validator = Draft202012Validator(schema_of(PARAMETERS))

        @settings(deadline=None, max_examples=300)
        @cases(
            st.dictionaries(st.sampled_from([one.name for one in PARAMETERS] + ["other"]), VALUES, max_size=4)
        )
        def check(params: dict[str, Any]) -> None:
            try:
                given(PARAMETERS, params)
                accepted = True
            except RpcError:
                accepted = False
            # JSON Schema takes 1.0 for an integer.
            if not isinstance(params.get("max"), float):
                self.assertEqual(accepted, validator.is_valid(params), params)

        check()

"""The schema describes what is printed: every object of every verb, and every answer and notification."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

import e2ee.ui
from e2ee.client.events import (
    Contact,
    FailedReason,
    Forgotten,
    Gap,
    HistoryEntry,
    KeyChanged,
    PutBack,
    SafetyNumber,
    SentAgain,
    SentMessage,
    SentState,
    ShownEvent,
    TimerChanged,
    TrustChange,
    Undecryptable,
    WhatWasPutBack,
)
from e2ee.client.identification.certificate_values import OwnIdentity, TrustedAuthority
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import event_render, render, trust_records
from e2ee.ui.rpc.methods import METHODS
from e2ee.ui.rpc.news import connection_object
from e2ee.ui.rpc.objects import NOTIFICATIONS, OBJECTS
from e2ee.ui.rpc.schema import schema, schema_text
from tests.ui.described import check_printed
from tests.ui.fakes import ALICE, BOB, DEVICE, DIGITS, NOON, failed, message, receipt

ID = MessageId(bytes(16))


class SchemaTests(SynchronousTestCase):
    """`e2ee rpc --schema`."""

    def test_it_is_a_json_schema_of_the_dialect_it_names(self) -> None:
        printed = json.loads(schema_text())
        self.assertEqual(printed, schema())
        self.assertEqual(printed["$schema"], "https://json-schema.org/draft/2020-12/schema")
        Draft202012Validator.check_schema(printed)
        for method in printed["methods"].values():
            Draft202012Validator.check_schema(method["params"])
            Draft202012Validator.check_schema(method["result"])

    def test_it_refuses_what_is_not_printed(self) -> None:
        validator = Draft202012Validator(schema())
        good = event_render.event_object(message("hello"))
        self.assertTrue(validator.is_valid(good))
        self.assertTrue(validator.is_valid({**good, "new": 1}), "objects gain fields")
        for wrong in ({**good, "type": "other"}, {**good, "id": "00"}, {"type": "message"}, 1):
            self.assertFalse(validator.is_valid(wrong), wrong)

    def test_every_type_that_the_interface_names_is_described(self) -> None:
        named = set()
        for path in Path(e2ee.ui.__path__[0]).rglob("*.py"):
            if path.name == "objects.py" or path.name in ("schema.py", "parameters.py"):
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Dict):
                    for key, value in zip(node.keys, node.values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == "type":
                            named |= {value.value} if isinstance(value, ast.Constant) else set()
        self.assertEqual(named, set(OBJECTS))

    def test_each_method_and_notification_has_objects_that_exist(self) -> None:
        for name, method in METHODS.items():
            self.assertEqual(set(method.results) - set(OBJECTS), set(), name)
            self.assertTrue(method.about.endswith("."), name)
        self.assertEqual(set(NOTIFICATIONS) - set(OBJECTS), set())


class PrintedTests(SynchronousTestCase):
    """What is rendered is what is described, whatever is missing from it."""

    def test_events(self) -> None:
        events: tuple[ShownEvent, ...] = (
            message("hello"), message("\ud800\0", name="bob"), receipt(ID, SentState.READ),
            KeyChanged(BOB, None, NOON), KeyChanged(BOB, "bob", NOON, verified_by="our CA"),
            Undecryptable(BOB, None, NOON), TimerChanged(BOB, "bob", 0, NOON),
            Gap(BOB, "bob", 3), SentAgain(BOB, None, 2, NOON),
            *(PutBack(what, ALICE, NOON) for what in WhatWasPutBack),
            *(failed(1, BOB, reason) for reason in FailedReason),
        )  # fmt: skip
        for event in events:
            check_printed(event_render.event_object(event))

    def test_own_messages_and_errors(self) -> None:
        for state in SentState:
            check_printed(render.sent_object(SentMessage(ID, BOB, state)))
        for code in Code:
            failure = Failure(code, "why", 1.5)
            check_printed(render.error_object(failure))
            check_printed(render.sent_object(SentMessage(ID, BOB, SentState.QUEUED, failure)))
            check_printed(connection_object(failure, ended=True))
        check_printed(connection_object(None, ended=False))

    def test_people_and_trust(self) -> None:
        for shown in (
            render.online_object(BOB, None),
            render.contact_object(Contact(BOB, None, False, True, False)),
            trust_records.safety_number_object(SafetyNumber(BOB, DIGITS, True, "our CA", "expired")),
            trust_records.trust_object(BOB, TrustChange(None, None)),
            trust_records.trust_object(BOB, TrustChange(DIGITS, DIGITS)),
            trust_records.identity_object(None),
            trust_records.identity_object(OwnIdentity("a", "b", "1f", NOON, NOON, "expired")),
            trust_records.authority_object(TrustedAuthority("our CA", bytes(32), NOON, None)),
            trust_records.authority_object(TrustedAuthority("our CA", bytes(32), NOON, NOON)),
        ):
            check_printed(shown)

    def test_the_past(self) -> None:
        came = HistoryEntry("in", ID, BOB, ALICE, "bob", DEVICE, NOON, NOON, "hi", True, False, None)
        went = HistoryEntry("out", ID, ALICE, BOB, None, None, NOON, None, "hi", False, False, SentState.READ)
        for entry in (came, went):
            check_printed(render.history_object(entry))
        for kind, what in (("id", str(ID)), ("address", str(BOB))):
            check_printed(render.forgotten(what, kind, Forgotten(1))[1])

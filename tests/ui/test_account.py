"""`e2ee account delete`: asked on a terminal, done elsewhere."""

from __future__ import annotations

from e2ee.errors import Code
from e2ee.ui.account import delete
from e2ee.ui.options import Options
from tests.ui.fakes import ALICE, CoroutineTestCase, FakeCall, FakeMessenger


class Person:
    """Types this, whatever is asked."""

    def __init__(self, typed: str) -> None:
        self.typed = typed
        self.asked: list[str] = []

    def ask(self, question: str, *, hidden: bool = False) -> str:
        self.asked.append(question)
        return self.typed


class DeletingMessenger(FakeMessenger):
    """Counts accounts that were deleted."""

    deleted = 0

    async def delete_account(self) -> None:
        self.deleted += 1


class DeleteTests(CoroutineTestCase):
    """docs/command-line.md, `account delete`."""

    def setUp(self) -> None:
        self.messenger = DeletingMessenger()
        self.call = FakeCall(self.messenger, Options())

    def test_off_a_terminal_nothing_is_asked(self) -> None:
        self.assertEqual(self.result(delete(self.call.as_invocation(), sure=False)), 0)
        self.assertEqual((self.call.printed, self.messenger.deleted), ([f"deleted {ALICE}"], 1))

    def test_with_json(self) -> None:
        self.call.options = Options(json=True)
        self.result(delete(self.call.as_invocation(), sure=False))
        self.assertEqual(self.call.printed, ["deleted"])

    def test_on_a_terminal_the_number_is_typed(self) -> None:
        self.call.person = Person(f" {ALICE} ")
        self.assertEqual(self.result(delete(self.call.as_invocation(), sure=False)), 0)
        self.assertEqual((len(self.call.person.asked), self.messenger.deleted), (1, 1))

    def test_anything_else_deletes_nothing(self) -> None:
        for typed in ("", "y", "yes", "+15550100102"):
            self.call.person = Person(typed)
            failure = self.failure(delete(self.call.as_invocation(), sure=False))
            self.assertEqual((failure.code, self.messenger.deleted), (Code.FAILED, 0))

    def test_who_is_sure_is_not_asked(self) -> None:
        self.call.person = Person("")
        self.assertEqual(self.result(delete(self.call.as_invocation(), sure=True)), 0)
        self.assertEqual(self.call.person.asked, [])

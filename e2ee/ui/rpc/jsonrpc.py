"""JSON-RPC 2.0: from a line to what it asks for, and answers and notifications back to lines. Pure.

Knows the specification (https://www.jsonrpc.org/specification, section numbers below are its own); neither
methods nor who carries lines. Results are JSON texts already, so that they are what a verb prints to the
letter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from e2ee.errors import Code, Failure

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
FAILED: Final = -32000
"""All failures of the command line but wrong usage; `data.code` says which (section 5.1)."""

BATCH_ENTRIES: Final = 100
LINE_BYTES: Final = 1024 * 1024
"""The longest line: a text of 64 KiB in six bytes a character, with room for others beside it."""

Id = str | int | float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, or a notification, which nobody wants answered (section 4.1)."""

    method: str
    params: Mapping[str, Any] | Sequence[Any] = field(repr=False)
    id: Id = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """What is no request, with the answer to it."""

    id: Id
    error: RpcError


@dataclass(frozen=True, slots=True)
class Incoming:
    """What one line holds; `batch`: its answers go back together, in one array (section 6)."""

    entries: tuple[Asked | Refused, ...]
    batch: bool = False


class RpcError(Exception):
    """An error object (section 5.1): a number, a sentence, and the fields of the command line's errors."""

    def __init__(
        self, number: int, sentence: str, code: Code = Code.USAGE, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.number = number
        self.sentence = sentence
        self.code = code
        self.retry_after = retry_after

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RpcError) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.number, self.sentence))


def error_of(failure: Failure) -> RpcError:
    """The same for callers: what was used wrongly are invalid parameters."""
    number = INVALID_PARAMS if failure.code is Code.USAGE else FAILED
    return RpcError(number, failure.sentence, failure.code, failure.retry_after)


# --- reading ----------------------------------------------------------------------------------


def parse(line: str) -> Incoming:
    """What a line asks for. Nothing is raised: what is wrong with it stands in the entries."""
    try:
        value = json.loads(line, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return _single(RpcError(PARSE_ERROR, "the line is not JSON"))
    if not isinstance(value, list):
        return Incoming((_entry(value),))
    if not value:
        return _single(RpcError(INVALID_REQUEST, "the batch is empty"))
    if len(value) > BATCH_ENTRIES:
        return _single(RpcError(INVALID_REQUEST, f"a batch has {BATCH_ENTRIES} entries at the most"))
    return Incoming(tuple(_entry(one) for one in value), batch=True)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _single(error: RpcError) -> Incoming:
    return Incoming((Refused(None, error),))


def _entry(value: Any) -> Asked | Refused:
    if not isinstance(value, dict):
        return Refused(None, RpcError(INVALID_REQUEST, "a request is an object"))
    identified = value.get("id")
    if isinstance(identified, bool) or not isinstance(identified, str | int | float | None):
        return Refused(None, RpcError(INVALID_REQUEST, "an id is a string, a number or null"))
    if value.get("jsonrpc") != "2.0":
        return Refused(identified, RpcError(INVALID_REQUEST, 'a request has "jsonrpc": "2.0"'))
    method, params = value.get("method"), value.get("params", {})
    if not isinstance(method, str):
        return Refused(identified, RpcError(INVALID_REQUEST, "a request has the name of its method"))
    if not isinstance(params, dict | list):
        return Refused(identified, RpcError(INVALID_REQUEST, "parameters are an object or an array"))
    return Asked(method, params, identified, answered="id" in value)


# --- writing ----------------------------------------------------------------------------------


def result_text(identified: Id, result: str) -> str:
    """An answer; `result` is JSON."""
    return f'{{"jsonrpc":"2.0","id":{_text(identified)},"result":{result}}}'


def error_text(identified: Id, error: RpcError) -> str:
    """An answer that says why there is no result."""
    data = {"code": error.code.value, "message": error.sentence, "retry_after": error.retry_after}
    body = {"code": error.number, "message": error.sentence, "data": data}
    return f'{{"jsonrpc":"2.0","id":{_text(identified)},"error":{_text(body)}}}'


def notification_text(method: str, params: str) -> str:
    """What nobody has asked for; `params` is JSON."""
    return f'{{"jsonrpc":"2.0","method":{_text(method)},"params":{params}}}'


def batch_text(answers: Sequence[str]) -> str | None:
    """The answers to a batch; None where none is wanted (section 6)."""
    return f"[{','.join(answers)}]" if answers else None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))

"""Parameters of methods: declared once, checked and described from that. Pure.

Knows kinds of values; not what a method does with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2ee.ui.options import LONGEST_TIMEOUT
from e2ee.ui.rpc.jsonrpc import INVALID_PARAMS, RpcError
from e2ee.ui.rpc.objects import JsonSchema


@dataclass(frozen=True, slots=True)
class Text:
    """A string of valid Unicode; with `choices` one of them."""

    choices: tuple[str, ...] = ()
    pattern: str | None = None

    def accepts(self, value: Any) -> bool:
        """Whether it can be given; `pattern` only describes: the method says what is wrong."""
        if not isinstance(value, str) or not (value in self.choices or not self.choices):
            return False
        return not any("\ud800" <= character <= "\udfff" for character in value)

    def schema(self) -> JsonSchema:
        """In JSON Schema."""
        described: JsonSchema = {"type": "string"}
        if self.choices:
            described["enum"] = list(self.choices)
        if self.pattern is not None:
            described["pattern"] = self.pattern
        return described


@dataclass(frozen=True, slots=True)
class Texts:
    """A string, or an array of some."""

    def accepts(self, value: Any) -> bool:
        """Whether it can be given."""
        several = value if isinstance(value, list) else [value]
        return bool(several) and all(Text().accepts(one) for one in several)

    def schema(self) -> JsonSchema:
        """In JSON Schema."""
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def accepts(self, value: Any) -> bool:
        """Whether it can be given."""
        return isinstance(value, bool)

    def schema(self) -> JsonSchema:
        """In JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number from 1 to `most`."""

    most: int

    def accepts(self, value: Any) -> bool:
        """Whether it can be given."""
        return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= self.most

    def schema(self) -> JsonSchema:
        """In JSON Schema."""
        return {"type": "integer", "minimum": 1, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Seconds:
    """A span of time."""

    def accepts(self, value: Any) -> bool:
        """Whether it can be given."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return 0 <= value <= LONGEST_TIMEOUT

    def schema(self) -> JsonSchema:
        """In JSON Schema."""
        return {"type": "number", "minimum": 0, "maximum": LONGEST_TIMEOUT}


Kind = Text | Texts | Flag | Count | Seconds


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; in an array it stands where it stands in the declaration."""

    name: str
    kind: Kind
    about: str
    required: bool = False


TIMEOUT = Parameter("timeout", Seconds(), "How long to wait for the server, in seconds; 30 if not given.")


def given(
    parameters: Sequence[Parameter], params: Mapping[str, Any] | Sequence[Any]
) -> dict[str, Any]:
    """The parameters by name; null is as good as none. Raises RpcError (INVALID_PARAMS)."""
    if not isinstance(params, Mapping):
        if len(params) > len(parameters):
            raise _wrong(f"there are {len(parameters)} parameters at the most")
        params = {parameter.name: value for parameter, value in zip(parameters, params, strict=False)}
    kinds = {parameter.name: parameter.kind for parameter in parameters}
    found = {name: value for name, value in params.items() if value is not None}
    for name, value in found.items():
        if name not in kinds:
            raise _wrong("there is a parameter of a name that this method does not have")
        if not kinds[name].accepts(value):
            raise _wrong(f"the parameter {name} cannot be this")
    for parameter in parameters:
        if parameter.required and parameter.name not in found:
            raise _wrong(f"the parameter {parameter.name} is missing")
    return found


def schema_of(parameters: Sequence[Parameter]) -> JsonSchema:
    """What an object of them looks like."""
    return {
        "type": "object",
        "properties": {one.name: {**one.kind.schema(), "description": one.about} for one in parameters},
        "required": [one.name for one in parameters if one.required],
        "additionalProperties": False,
    }


def _wrong(sentence: str) -> RpcError:
    return RpcError(INVALID_PARAMS, sentence)

"""Holds what is printed against what `e2ee rpc --schema` says of it, more strictly than users should.

Users accept fields that they do not know; here each field has to be declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from e2ee.ui.rpc.schema import schema


@cache
def described() -> dict[str, Any]:
    """The schema, with nothing allowed that is not declared."""
    found: dict[str, Any] = deepcopy(schema())
    for one in found["$defs"].values():
        if one.get("type") == "object":
            one["additionalProperties"] = False
    return found


@cache
def validator(reference: str) -> Draft202012Validator:
    """For what the schema describes there, such as ``#/$defs/message``."""
    return Draft202012Validator({**described(), "anyOf": [{"$ref": reference}]})


def check(value: Any, reference: str) -> None:
    """Raises AssertionError unless this is what is described."""
    problems = [error.message for error in validator(reference).iter_errors(value)]
    if problems:
        raise AssertionError(f"{value} is not {reference}: {problems}")


def check_printed(shown: Mapping[str, Any]) -> None:
    """The same for an object that a verb prints."""
    check(shown, f"#/$defs/{shown['type']}")

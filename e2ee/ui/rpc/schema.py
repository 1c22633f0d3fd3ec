"""`e2ee rpc --schema`: one JSON Schema (draft 2020-12) of methods, notifications and printed objects. Pure.

Made from the declarations; knows how they are put together.
"""

from __future__ import annotations

import json
from typing import Any

from e2ee import __version__
from e2ee.ui.rpc import jsonrpc
from e2ee.ui.rpc.methods import METHODS, Method
from e2ee.ui.rpc.objects import ERROR, NOTIFICATIONS, OBJECTS, JsonSchema
from e2ee.ui.rpc.parameters import TIMEOUT, schema_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> JsonSchema:
    """What validates a line: an object that a verb prints, or an answer or notification of `rpc`.

    `methods` has parameters and result of each method, `notifications` the parameters of each.
    """
    return {
        "$schema": DIALECT,
        "title": "e2ee",
        "description": f"What e2ee {__version__} prints with --json, and says over JSON-RPC 2.0."
        " Objects only gain fields: accept those that you do not know.",
        "anyOf": [{"$ref": "#/$defs/printed"}, {"$ref": "#/$defs/rpc"}],
        "$defs": {
            **OBJECTS,
            "printed": {"oneOf": [_reference(kind) for kind in OBJECTS]},
            "rpc": _lines(),
        },
        "methods": {name: _method(method) for name, method in METHODS.items()},
        "notifications": {kind: _reference(kind) for kind in NOTIFICATIONS},
    }


def schema_text() -> str:
    """The same as it is printed."""
    return json.dumps(schema(), ensure_ascii=True, indent=2)


def _reference(kind: str) -> JsonSchema:
    return {"$ref": f"#/$defs/{kind}"}


def _method(method: Method) -> JsonSchema:
    results: JsonSchema = {"type": "null"}
    if method.results:
        results = {"oneOf": [_reference(kind) for kind in method.results]}
    if method.many:
        results = {"type": "array", "items": results}
    parameters = (*method.parameters, TIMEOUT)
    return {"description": method.about, "params": schema_of(parameters), "result": results}


def _lines() -> JsonSchema:
    """Whatever `rpc` and `agent` say."""
    version = {"const": "2.0"}
    identified = {"type": ["string", "number", "null"]}
    numbers = [
        jsonrpc.PARSE_ERROR, jsonrpc.INVALID_REQUEST, jsonrpc.METHOD_NOT_FOUND, jsonrpc.INVALID_PARAMS,
        jsonrpc.INTERNAL_ERROR, jsonrpc.FAILED,
    ]  # fmt: skip
    error = _object({"code": {"enum": numbers}, "message": {"type": "string"}, "data": ERROR})
    answer = {
        "oneOf": [
            _object({"jsonrpc": version, "id": identified, "result": True}),
            _object({"jsonrpc": version, "id": identified, "error": error}),
        ]
    }
    told = [
        _object({"jsonrpc": version, "method": {"const": kind}, "params": _reference(kind)})
        for kind in NOTIFICATIONS
    ]
    return {"oneOf": [answer, {"type": "array", "items": answer, "minItems": 1}, *told]}


def _object(properties: dict[str, Any]) -> JsonSchema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }

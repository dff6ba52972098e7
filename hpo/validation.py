"""What pydantic refuses, in the words of a study file: the key, what was found, what is right."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hpo.plugins import nearest

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "invalid-json-value": "text, a number, true, false, a list or a table",
    "missing": "this key",
    "model_attributes_type": "a table",
    "model_type": "a table",
    "string_type": "text",
    "too_short": "at least one",
    "tuple_type": "a list",
    "union_tag_not_found": "type = 'float', 'int' or 'choice'",
}
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "below"}
_MEMBERS = {"bool", "float", "int", "str"}  # of unions; pydantic adds them to the location


def problems(error: ValidationError, parts: Mapping[str, type[BaseModel]]) -> list[str]:
    """List what is wrong, one line each: `key: found …; expected …`.

    Args:
        error: what pydantic raised. A `ValueError` of ours in it may hold several lines.
        parts: name of a table, or `type` of a parameter -> the model that knows its keys; `""`
            is the whole file.
    """
    # a value that fits no member of a union is reported once a member; one line is enough
    expected: dict[str, list[str]] = {}
    for detail in error.errors():
        for found, right in _read(detail, parts):
            expected.setdefault(found, []).append(right)
    return [
        found + (f"; expected {_alternatives(rights)}" if any(rights) else "")
        for found, rights in expected.items()
    ]


def show(value: object) -> str:
    """Write a value as TOML writes it, for messages; a long one is cut."""
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else f"{text[:97]}…"


def _read(detail: ErrorDetails, parts: Mapping[str, type[BaseModel]]) -> Iterator[tuple[str, str]]:
    where = _key(detail)
    found = f"{where}: found {show(detail['input'])}"
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            for line in str(context["error"]).splitlines():
                yield f"{where}{'.' if where == 'space' else ': '}{line}" if where else line, ""
        case "extra_forbidden":
            location = ["", *map(str, detail["loc"])]
            known = list(parts[location[-2]].model_fields)
            top = location[-1] in parts[""].model_fields
            hint = "; it stands at the top" if top else nearest(location[-1], known)
            yield f"{where}: found an unknown key; known are {', '.join(known)}{hint}", ""
        case "too_short" if detail["input"]:
            return  # its items were refused, and are reported
        case "missing":
            yield f"{where}: found nothing", _EXPECTED["missing"]
        case "string_pattern_mismatch":  # `freeze` is the one key with a pattern
            yield found, "'none', 'embeddings', 'layers:K' (K from 1) or 'encoder'"
        case "union_tag_invalid":
            yield f"{where}.type: found {show(context['tag'])}", "'float', 'int' or 'choice'"
        case kind if kind in _EXPECTED:
            yield found, _EXPECTED[kind]
        case _:
            limits = [
                f"{word} {_number(context[key])}" for key, word in _LIMITS.items() if key in context
            ]
            yield found, "".join(limits) or detail["msg"].removeprefix("Input should be ")


def _key(detail: ErrorDetails) -> str:
    # the user's file has no level for the `type` of a parameter or for the member of a union
    location = [str(part) for part in detail["loc"]] or [""]
    if len(location) > 2 and location[-1] in _MEMBERS and detail["type"].endswith("_type"):
        location.pop()
    if location[0] == "space":
        del location[2:3]
    elif location[0] == "training":
        del location[2:]
    return ".".join(location)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _alternatives(texts: list[str]) -> str:
    *firsts, last = dict.fromkeys(texts)
    return f"{', '.join(firsts)} or {last}" if firsts else last

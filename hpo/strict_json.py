"""JSON as RFC 8259 has it, without NaN and infinity, which no other reader takes."""

import json
import math
from typing import Any


def text(value: Any, indent: int | None = None) -> str:
    """Return JSON, in which null stands for what is not finite."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

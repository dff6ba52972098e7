"""The formats of a report, for who only names them."""

from typing import Literal

Format = Literal["html", "md", "json", "csv"]
FORMATS: tuple[Format, ...] = ("html", "md", "json", "csv")

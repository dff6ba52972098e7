"""The headers of all answers, and which page may load and do what.

https://www.w3.org/TR/CSP3/, https://owasp.org/www-project-secure-headers/
"""

import re

from hpo.dashboard.messages import Headers

_ALONE = "base-uri 'none'; frame-ancestors 'none'"
NOTHING = f"default-src 'none'; form-action 'none'; {_ALONE}"
OURS = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; "
    + _ALONE
)
DASHBOARD = (
    # plotly.js makes functions of text for its parallel coordinates, and it and Material UI write
    # styles into the page; the rest is the server's own.
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    f"form-action 'self'; {_ALONE}"
)
_META = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')
_ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),  # with none, browsers would hide where forms come from
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
]


def headers(policy: str, cache: str = "no-store") -> Headers:
    """Return the headers of an answer.

    Args:
        policy: what its page may load and do.
        cache: how long it is kept; what shows a study is not kept at all.
    """
    return [*_ALWAYS, ("Content-Security-Policy", policy), ("Cache-Control", cache)]


def of_report(html: str) -> str:
    """Return the policy of a report, which says its own, with what only a header can say.

    Raises:
        ValueError: it says none.
    """
    found = _META.search(html)
    if found is None:
        raise ValueError("the report has no policy")
    return f"{found[1].rstrip('; ').replace('&#39;', chr(39))}; frame-ancestors 'none'"

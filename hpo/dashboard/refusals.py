"""Answers with their headers, and those that refuse: a page for people, JSON for programs."""

import math
from http import HTTPStatus

from hpo.dashboard import pages, policies
from hpo.dashboard.messages import Answer, Request, page, reason

_AGAIN = 5  # seconds after which a page that had to say that the storage is away tries again


def ours(answer: Answer) -> Answer:
    """Return a page of ours with its headers."""
    return answer.adding(*policies.headers(policies.OURS))


def guarded(answer: Answer, cache: str = "no-store") -> Answer:
    """Return what is no page, with headers that let it load nothing."""
    return answer.adding(*policies.headers(policies.NOTHING, cache))


def told(
    request: Request, status: HTTPStatus, heading: str, text: str, again: int | None = None
) -> Answer:
    """Return words: a page for people, JSON for programs."""
    if request.wants_json:
        return guarded(reason(text, status))
    return ours(page(pages.words(heading, text, again), status))


def away(request: Request, text: str) -> Answer:
    """Say that the storage is away; the page tries again by itself."""
    found = told(
        request, HTTPStatus.SERVICE_UNAVAILABLE, "The storage cannot be read now", text, _AGAIN
    )
    return found.adding(("Retry-After", str(_AGAIN)))


def busy(request: Request) -> Answer:
    """Say that others are served first; the page tries again by itself."""
    text = "Others are being served; a report of many trials takes a while."
    found = told(request, HTTPStatus.SERVICE_UNAVAILABLE, "Busy", text, _AGAIN)
    return found.adding(("Retry-After", str(_AGAIN)))


def too_many(request: Request, wait: float) -> Answer:
    """Say that somebody who guesses has to wait."""
    seconds = math.ceil(wait)
    text = f"Too many attempts; the next one is possible in {seconds} s."
    found = told(request, HTTPStatus.TOO_MANY_REQUESTS, "Too many attempts", text)
    return found.adding(("Retry-After", str(seconds)))


def not_allowed(text: str) -> Answer:
    """Say that nothing is changed."""
    found = reason(text, HTTPStatus.METHOD_NOT_ALLOWED)
    return guarded(found.adding(("Allow", "GET, HEAD")))

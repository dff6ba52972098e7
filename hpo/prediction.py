"""What a fine-tuned model says about texts, as `hpo predict` prints it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hpo import words
from hpo.entities import entities
from hpo.errors import DataError
from hpo.inference import FineTuned
from hpo.texts import Given


def predict(model: FineTuned, texts: Sequence[Given]) -> Iterator[dict[str, Any]]:
    """Read texts.

    Yields:
        For NER `entities`, each with `type`, `score` (the mean probability of its words' tags) and
        `text`; of raw text also `start` and `end` in characters, of words `first` and `last`, and
        the `tags` of all. For classes `label`, `score` and `probabilities`; an empty text has no
        label. What was read stands before it, as `text` or `tokens`.

    Raises:
        DataError: words where the model takes text.
    """
    if model.task.takes_words:
        yield from _entities(model, texts)
    else:
        yield from _classes(model, texts)


def _entities(model: FineTuned, texts: Sequence[Given]) -> Iterator[dict[str, Any]]:
    places = [None if each.text is None else words.split(each.text) for each in texts]
    read = [_words_of(each, spans) for each, spans in zip(texts, places, strict=True)]
    found = model.probabilities(read)
    for given, spans, tokens, chances in zip(texts, places, read, found, strict=True):
        tags = [model.encoding.labels[each] for each in chances.argmax(-1)]
        sure = chances.max(-1) if len(tokens) else np.zeros(0)
        listed = []
        for name, first, after in entities(tags):
            entity: dict[str, Any] = {"type": name, "score": float(sure[first:after].mean())}
            if given.text is None or spans is None:
                entity |= {"text": " ".join(tokens[first:after]), "first": first, "last": after - 1}
            else:
                start, end = spans[first][0], spans[after - 1][1]
                entity |= {"text": given.text[start:end], "start": start, "end": end}
            listed.append(entity)
        if given.text is None:
            yield {"tokens": tokens, "tags": tags, "entities": listed}
        else:
            yield {"text": given.text, "entities": listed}


def _words_of(given: Given, spans: list[tuple[int, int]] | None) -> list[str]:
    if spans is None or given.text is None:
        return list(given.words or [])
    return [given.text[start:end] for start, end in spans]


def _classes(model: FineTuned, texts: Sequence[Given]) -> Iterator[dict[str, Any]]:
    for each in texts:
        if each.text is None:
            raise DataError(f"{each.place}: found tokens; expected text, which the model takes")
    filled = [each.text for each in texts if each.text and each.text.strip()]
    found = iter(model.probabilities(filled))
    for each in texts:
        if not each.text or not each.text.strip():
            yield {"text": each.text, "label": None, "score": None, "probabilities": {}}
            continue
        chances = dict(zip(model.encoding.labels, map(float, next(found)), strict=True))
        label = max(chances, key=lambda name: chances[name])
        yield {"text": each.text, "label": label, "score": chances[label], "probabilities": chances}


def written(found: dict[str, Any]) -> str:
    """Return a prediction for a person."""
    text = found.get("text")
    text = " ".join(found["tokens"]) if text is None else text
    if "entities" not in found:
        label = found["label"]
        return f"{'-' if label is None else label}  {found['score'] or 0:.3f}  {text}"
    lines = [text]
    for each in found["entities"]:
        first, last = ("start", "end") if "start" in each else ("first", "last")
        where = f"{each[first]}-{each[last]}"
        lines.append(f"  {each['type']}  {each['score']:.3f}  {where}  {each['text']}")
    return "\n".join(lines)

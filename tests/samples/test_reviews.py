"""The sentiment sample is balanced, leaks nothing and is hard in the ways it promises."""

import re

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from hpo import samples

SPLITS = ("train", "validation", "test")


def words(split: str) -> set[str]:
    """Return the words of a split in lower case."""
    return {
        word
        for row in samples.sentiment(split)
        for word in re.findall(r"[a-z-]+", row["text"].lower())
    }


@pytest.mark.parametrize("split", SPLITS)
def test_balance(split: str) -> None:
    """Both classes are about as frequent."""
    labels = [row["label"] for row in samples.sentiment(split)]
    assert set(labels) == {"negative", "positive"}
    assert 0.45 < labels.count("positive") / len(labels) < 0.55


@pytest.mark.parametrize("split", SPLITS)
def test_texts(split: str) -> None:
    """Texts are short sentences without left-over symbols."""
    for row in samples.sentiment(split):
        assert 3 <= len(row["text"].split()) <= 40
        assert re.fullmatch(r"([A-Z][A-Za-z, -]*[.!]( |$))+", row["text"])


def test_no_text_twice() -> None:
    """No text occurs twice, not in two splits either."""
    texts = [row["text"].lower() for split in SPLITS for row in samples.sentiment(split)]
    assert len(texts) == len(set(texts))


GOOD = "(good|great|lovely|superb|brilliant|perfect|fine|charming)"
BAD = "(bad|awful|horrible|terrible|boring|dull|ugly|annoying)"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (rf"The \w+ \w+ {GOOD}\.", "positive"),
        (rf"The \w+ \w+ {BAD}\.", "negative"),
        (rf"The \w+ \w+ (not|hardly|never|far from) {GOOD}\.", "negative"),
        (rf"The \w+ \w+ (not|hardly|never|far from) {BAD}\.", "positive"),
        (rf"Although .*, the \w+ \w+ {GOOD}\.", "positive"),
        (rf".*, but the \w+ \w+ {BAD}\.", "negative"),
        (rf"The \w+ \w+ {BAD}, even though .*", "negative"),
        (r".*[.,] (and|but all in all)? ?I loved it\.", "positive"),
        (rf"(My|A|Our) \w+ said that the \w+ \w+ {BAD}\. .*", "positive"),
    ],
)
def test_labels(text: str, label: str) -> None:
    """Negation, contrast and contradiction turn the label as they turn the meaning."""
    labels = {
        row["label"]
        for split in SPLITS
        for row in samples.sentiment(split)
        if re.fullmatch(text, row["text"])
    }
    assert labels == {label}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_unseen_words(split: str) -> None:
    """Words unseen in train are made of parts, of which all affixes and many roots are seen."""
    seen = words("train")
    unseen = words(split) - seen
    assert len(unseen) > 15
    matches = [re.fullmatch(r"(un|over|well-)(\w+)|(\w+)(ful|less)", word) for word in unseen]
    roots = [match[2] or match[3] for match in matches if match]
    assert len(roots) == len(unseen)
    assert sum(any(root in word for word in seen) for root in roots) > 0.4 * len(roots)
    for affix in ("un", "over", "well-", "ful", "less"):
        assert sum(word.startswith(affix) or word.endswith(affix) for word in seen) > 5


def test_single_words_do_not_decide() -> None:
    """A bag of words is far better than chance and far from good: context matters."""
    counts = CountVectorizer()
    train, validation = samples.sentiment("train"), samples.sentiment("validation")
    model = LogisticRegression(max_iter=1000).fit(
        counts.fit_transform(row["text"] for row in train), [row["label"] for row in train]
    )
    accuracy = model.score(
        counts.transform(row["text"] for row in validation), [row["label"] for row in validation]
    )
    assert 0.6 < accuracy < 0.8

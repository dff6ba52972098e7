"""The sentiment sample: short reviews of films, meals, hotels and devices.

What makes it hard: negation, contrast where the main clause or the last one decides, opinions of
others that are turned down, neutral filler, and words unseen in train that are made from parts,
of which all affixes and about half of the roots are seen there (care-less, well-paced). The label
follows from the grammar, without noise.
"""

import re
from functools import cache

from hpo.samples.grammar import Draw, Grammar, Polarity, Split, by_split, words

ROWS: dict[Split, int] = {"train": 4000, "validation": 500, "test": 500}
LABELS: dict[Polarity, str] = {"+": "positive", "-": "negative"}

_RULES = {
    "review": [
        "<opinion> .",
        "<filler> . <opinion> .",
        "<filler> , and <opinion> .",
        "<opinion> and <opinion> .",
        "<opinion> and <opinion> . <filler> .",
        "<opinion> . <filler> . <verdict> .",
        "<opinion> , <opinion> , and <verdict> .",
        "<filler> . <opinion> , and <opinion> .",
        "<opinion-> , but <opinion> .",
        "<filler> . <opinion-> , but <opinion> .",
        "although <opinion-> , <opinion> .",
        "<opinion> , even though <opinion-> .",
        "<opinion> , <opinion-> , but all in all <verdict> .",
        "<person> said that <opinion-> . <wrong> !",
    ],
    "opinion": [
        "the <aspect> <was> <quality>",
        "the <aspect> <was> <quality> and <quality>",
        "the <aspect> <was> <degree> <quality>",
        "the <aspect> and the <aspect> were <quality>",
        "we found the <aspect> <degree> <quality>",
        "it has a <quality> <aspect>",
        "the <aspect> <was> <not> <quality->",
        "nothing about the <aspect> was <quality->",
        "<verdict>",
    ],
    "not": ["not", "not", "not at all", "never", "hardly", "far from", "anything but"],
    "degree": ["very", "really", "so", "quite", "rather", "truly", "utterly", "surprisingly"],
    "was": ["was", "was", "is", "felt", "seemed"],
    "verdict+": [
        "I loved it",
        "I would <again> again",
        "I recommend it",
        "it was worth every penny",
        "I enjoyed the <aspect>",
        "I have no complaints",
    ],
    "verdict-": [
        "I hated it",
        "I want my money back",
        "I cannot recommend it",
        "it was a waste of time",
        "I regret the <aspect>",
        "I had to complain",
    ],
    "wrong": ["I disagree", "Nonsense", "Not true", "I think the opposite"],
    "person": ["my sister", "a critic", "a friend", "our neighbour"],
    "day": words("Monday Tuesday Friday Sunday"),
    "number": words("two three four five ten twelve"),
}
# What each subject adds to the rules.
_SUBJECTS = [
    {
        "aspect": words("plot acting cast music ending script dialogue camera"),
        "again": ["watch it"],
        "filler": [
            "we saw it on <day>",
            "it runs for <number> hours",
            "it is set in a small town",
            "there are <number> songs in it",
            "the director is new to me",
        ],
    },
    {
        "aspect": words("soup pasta dessert service menu waiter wine bread"),
        "again": ["eat there"],
        "filler": [
            "we went there on <day>",
            "there were <number> of us",
            "we sat near the window",
            "I ordered for <number>",
            "the place opened last year",
        ],
    },
    {
        "aspect": words("room bed view staff breakfast pool lobby bathroom"),
        "again": ["stay there"],
        "filler": [
            "we stayed for <number> nights",
            "we arrived on <day>",
            "it is next to the station",
            "it rained on <day>",
            "the hotel has <number> floors",
        ],
    },
    {
        "aspect": words("screen battery keyboard sound case price manual button"),
        "again": ["buy it"],
        "filler": [
            "I bought it on <day>",
            "it came in <number> days",
            "I have had it for <number> weeks",
            "it comes in <number> colours",
            "I use it at work",
        ],
    },
]
_PLAIN: dict[Polarity, list[str]] = {
    "+": words("""good great lovely superb brilliant pleasant clever warm elegant smooth reliable
        comfortable convincing charming fine perfect"""),
    "-": words("""bad awful horrible terrible boring dull rude cold noisy slow ugly clumsy broken
        dirty annoying poor"""),
}
# Praise and blame from parts: each word goes to one split.
_GOOD_ROOTS = words("""joy grace skill taste thought hope care flavour soul colour power cheer
    meaning purpose tact use help rest delight event""")
_WITHOUT = words("""pain harm fault flaw blame noise stain spot seam time effort fear tire price
    doubt error""")
_FULL_OF = words("""pain harm shame dread waste fear doubt blame regret fright woe hate distress
    neglect boast wrath""")
_VERBS = words("""cooked priced written acted made lit paced built designed filmed edited played
    sung seasoned heated dressed told drawn""")
_ADJECTIVES = words("""pleasant inspired convincing comfortable reliable friendly interesting
    imaginative satisfying original appetising helpful remarkable exciting healthy kind steady
    tidy wise professional""")
_MADE: dict[Polarity, list[str]] = {
    "+": [
        *(f"{root}ful" for root in _GOOD_ROOTS),
        *(f"{root}less" for root in _WITHOUT),
        *(f"well-{verb}" for verb in _VERBS),
    ],
    "-": [
        *(f"{root}less" for root in _GOOD_ROOTS),
        *(f"{root}ful" for root in _FULL_OF),
        *(f"over{verb}" for verb in _VERBS),
        *(f"un{adjective}" for adjective in _ADJECTIVES),
    ],
}
PLAIN_SHARE = 3  # of four qualities; the others are made from parts


@cache
def rows() -> dict[Split, list[tuple[str, str]]]:
    """Return text and label of every row by split; no text occurs twice."""
    seen: set[str] = set()
    result: dict[Split, list[tuple[str, str]]] = {}
    for split, count in ROWS.items():
        draw = Draw(f"sentiment {split}")
        qualities = {
            "quality": ["<plain>"] * PLAIN_SHARE + ["<made>"],
            **{f"plain{polarity}": plain for polarity, plain in _PLAIN.items()},
            **{f"made{polarity}": by_split(made)[split] for polarity, made in _MADE.items()},
        }
        grammars = [Grammar({**_RULES, **qualities, **subject}) for subject in _SUBJECTS]
        result[split] = []
        while len(result[split]) < count:
            polarity: Polarity = "+" if draw.chance(0.5) else "-"
            text = _written(" ".join(draw.pick(grammars).expand("review", draw, polarity)))
            if text not in seen:
                seen.add(text)
                result[split].append((text, LABELS[polarity]))
    return result


def _written(spaced: str) -> str:
    text = re.sub(r"\ba ([aeiou])", r"an \1", re.sub(r" ([.,!])", r"\1", spaced))
    return re.sub(r"(^|[.!] )([a-z])", lambda match: match[1] + match[2].upper(), text)

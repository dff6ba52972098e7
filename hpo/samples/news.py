"""The NER sample: news items, results and messages with persons, places, organisations, others.

What makes it hard: names unseen in train, one surface with several types (`Halford` plays,
`Halford` said, in `Halford`), common words that are names, names of several words, names side by
side, sentences wholly in lower or upper case, and sentences without a name.
"""

from collections.abc import Iterable
from functools import cache

from hpo.samples.grammar import Draw, Grammar, Split, words
from hpo.samples.names import Inventory, inventory

ROWS: dict[Split, int] = {"train": 3000, "validation": 500, "test": 500}

# An alternative that stands twice is drawn twice as often.
_GRAMMAR = Grammar(
    {
        "sentence": [
            "<news> .",
            "<news> .",
            "<news> <tail> .",
            "<opening> , <news> .",
            "<news> , <source> .",
            "<result> .",
            "<result> .",
            "<listing>",
            "<message>",
            "<message>",
            "<message>",
            "<plain> .",
            "<plain> , <plain> .",
        ],
        "opening": [
            "on <day>",
            "earlier this <period>",
            "in <LOC>",
            "after <number> days of talks",
            "according to <PER>",
            "for the first time since <year>",
            "away from <LOC>",
            "at <ORG>",
        ],
        "tail": [
            "on <day>",
            "last <period>",
            "in <LOC>",
            "near <LOC> and <LOC>",
            "for <number> million",
            "with <PER>",
            "after a vote at <ORG>",
            "before the <MISC>",
            "despite a warning from <ORG>",
            "to the surprise of <PER>",
        ],
        "source": [
            "<PER> told reporters",
            "<PER> of <ORG> said",
            "a spokesman for <ORG> said",
            "officials in <LOC> said",
            "<ORG> said in a statement",
            "a <PEOPLE> newspaper reported",
            "people close to <PER> said",
            "people close to <ORG> said",
        ],
        "news": [
            "<PER> , <role> , <did> <LOC>",
            "<PER> , <role> , <did> the <LOC> office of <ORG>",
            "<ORG> <business>",
            "<ORG> <business>",
            "shares of <ORG> <moved> <number> percent",
            "shares in <ORG> , based in <LOC> , <moved> after <PER> left",
            "<ORG> named <PER> as its new chief",
            "<ORG> hired <PER> from <ORG>",
            "<PER> <spoke> that <ORG> would leave <LOC>",
            "<PER> <spoke> that <LOC> would welcome <ORG>",
            "<PER> , <number> , was born in <LOC>",
            "<PER> married <PER> in <LOC>",
            "<PER> and <PER> <met> in <LOC>",
            "the <disaster> hit <LOC> and the villages around it",
            "heavy <weather> closed the road from <LOC> to <LOC>",
            "the mayor of <LOC> thanked <whom>",
            "residents of <LOC> blamed <whom>",
            "talks between <LOC> and <LOC> ended without a deal",
            "a court in <LOC> fined <ORG> <number> million",
            "<PEOPLE> <officials> arrested <PER> at the border with <LOC>",
            "<PEOPLE> <officials> said <PER> was safe",
            "the <PEOPLE> minister <PER> <did> <LOC>",
            "<PER> won the <MISC> for a <PEOPLE> novel",
            "<ORG> unveiled the <MISC> in <LOC>",
            "critics praised <MISC> , the new film by <PER>",
            "tickets for the <MISC> sold out in <LOC>",
            "<ORG> rival <ORG> <moved> <number> percent",
            "<LOC> native <PER> signed for <ORG>",
            "prosecutors asked <PER> about payments from <ORG>",
            "the flight from <LOC> carried <PER> and <number> others",
        ],
        "whom": ["<PER>", "<ORG>", "<PER> and <ORG>", "the <PEOPLE> army"],
        "role": [
            "a <PEOPLE> writer",
            "head of <ORG>",
            "who leads <ORG>",
            "a doctor from <LOC>",
            "the coach",
            "a former minister",
            "who is <number>",
            "a nurse and mother of two",
        ],
        "did": ["visited", "left", "arrived in", "returned to", "praised", "criticised", "toured"],
        "spoke": ["said", "told a crowd", "wrote", "denied", "hinted"],
        "met": ["met", "argued", "sang together", "were seen", "grew up"],
        "moved": ["rose", "fell", "gained", "lost", "dropped", "climbed"],
        "business": [
            "bought <ORG> for <number> million",
            "will cut <number> jobs in <LOC>",
            "opened a plant near <LOC>",
            "reported a loss for the <period>",
            "sued <ORG> over the <MISC>",
            "denied that it owes <PER> money",
            "appointed <PER>",
            "recalled the <MISC>",
        ],
        "disaster": ["storm", "flood", "fire", "quake", "drought"],
        "weather": ["snow", "rain", "frost", "fog"],
        "officials": ["police", "troops", "officials", "doctors"],
        "result": [
            "<ORG> beat <ORG> <score>",
            "<ORG> lost <score> at home to <ORG>",
            "<ORG> <ORG> <score>",
            "<PER> scored twice as <ORG> beat <ORG> <score>",
            "<PER> ( <LOC> ) beat <PER> ( <LOC> ) <score>",
            "<PER> of <LOC> won the <MISC> ahead of <PER>",
            "<PER> <PEOPLE> champion <year>",
            "<ORG> drew with <ORG> in front of <number> fans",
        ],
        "listing": [
            "<LOC> , <day> - <PER>",
            "<number> . <PER> <LOC> <number>",
            "<LOC> <number> <LOC> <number> <LOC> <number>",
            "<PER> , <ORG> , <LOC>",
            "from : <PER> to : <PER>",
        ],
        "message": [
            "hey <PER> , are you in <LOC> yet ?",
            "<hey> just landed in <LOC> , <PER> is late again",
            "<hey> <PER> got a job at <ORG> !",
            "<hey> anyone going to the <MISC> with <PER> ?",
            "never buying anything from <ORG> again",
            "stuck in traffic outside <LOC> , thanks <ORG>",
            "<PER> <PER> and i watched <MISC> <again>",
            "can <PER> pick me up from <LOC> ?",
            "<hey> my <MISC> broke , <ORG> will not answer",
            "missing <LOC> <again>",
            "missing <PER> <again>",
            "happy birthday <PER> , love from <LOC> !",
            "the <PEOPLE> food in <LOC> is so good",
            "<ORG> is hiring in <LOC> , ask <PER>",
            "i think <PER> lives in <LOC> now",
            "i <verb> at <day> , see you then",
            "i <verb> you like <PEOPLE> music <again>",
        ],
        "hey": ["omg", "lol", "so", "guys ,", "ok", "wow ,", "update :", "well ,"],
        "again": ["again", "tonight", "so much", "on <day>", "this <period>"],
        "verb": ["hope", "march", "cook", "guess", "finish", "chase"],
        "plain": [
            "the <common> is <quality> this <period>",
            "a <common> and a <common> were found on <day>",
            "prices <moved> <number> percent last <period>",
            "they may <verb> on <day>",
            "the bank will grant <number> loans",
            "a young <common> rose at dawn",
            "no one was hurt",
            "mark the <common> and turn the page",
            "we <verb> for the best",
            "the <common> near the <common> was <quality>",
            "he will cook rice by the <common>",
        ],
        "common": words("""rose angel bush king price wood stone brook cook hunter mason carter
            fisher baker page bishop knight ridge cross bell frost snow storm light shell target
            gap vision orbit anchor pioneer falcon beacon compass echo river team report"""),
        "quality": ["low", "late", "better", "on target", "closed", "cold", "a light", "new"],
        "day": words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        "period": ["week", "month", "year", "summer", "season", "march"],
        "number": words("2 3 4 5 7 9 12 18 21 30 45 60 120 400 1,500"),
        "year": words("1987 1994 2001 2009 2015 2022"),
        "score": ["2 - 1", "3 - 0", "1 - 1", "6 - 4", "86 - 79", "4 - 2"],
    }
)


@cache
def rows() -> dict[Split, list[tuple[list[str], list[str]]]]:
    """Return tokens and IOB2 tags of every row by split; no sentence occurs twice."""
    seen: set[str] = set()
    result: dict[Split, list[tuple[list[str], list[str]]]] = {}
    for split, count in ROWS.items():
        draw = Draw(f"ner {split}")
        names = inventory(split)
        result[split] = []
        while len(result[split]) < count:
            tokens, tags = _sentence(draw, names)
            text = " ".join(tokens).casefold()
            if text not in seen:
                seen.add(text)
                result[split].append((tokens, tags))
    return result


def _sentence(draw: Draw, names: Inventory) -> tuple[list[str], list[str]]:
    tokens: list[str] = []
    tags: list[str] = []
    for word in _GRAMMAR.expand("sentence", draw):
        if word.startswith("<"):
            name, kind = _name(word[1:-1], draw, names)
            tokens += name
            tags += [f"B-{kind}"] + [f"I-{kind}"] * (len(name) - 1)
        else:
            tokens.append(word)
            tags.append("O")
    return _in_case(tokens, draw), tags


def _name(slot: str, draw: Draw, names: Inventory) -> tuple[list[str], str]:
    match slot:
        case "PER":
            name = names.person(draw)
        case "LOC":
            name = names.location(draw)
        case "ORG":
            name = names.organisation(draw)
        case "PEOPLE":
            name = draw.pick(names.people)
        case _:
            name = names.miscellany(draw)
    if draw.chance(0.04):
        name = name.upper() if draw.chance(0.5) else name.lower()
    return name.split(), "MISC" if slot == "PEOPLE" else slot


def _in_case(tokens: Iterable[str], draw: Draw) -> list[str]:
    if draw.chance(0.08):  # a message
        return [token.lower() for token in tokens]
    if draw.chance(0.04):  # a headline
        return [token.upper() for token in tokens]
    first, *rest = tokens
    return [first[0].upper() + first[1:], *rest]

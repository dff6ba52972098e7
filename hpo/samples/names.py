"""Made-up names by split: thousands, put together from parts, no name in two splits.

Some names tell their type by their ending (Brenville, Dorsson), some do not (Halford, Kelton: a
person, a place or a company), and some are common words (Rose, March): only the context tells.
"""

from dataclasses import dataclass

from hpo.samples.grammar import Draw, Split, by_split, words

_STEMS = words("""al bar bel bren cal cor dal dor el fal fen gar gor hal har il jar kas kel kor
    lan lor mal mar mer nal nor ol or pel per quin ral ros sal sel ser tal tan ter ul var vel vin
    wal wen yar zan zel""")
_LINKS = ["", "a", "i", "en", "o"]
_ENDINGS = {
    "first": words("a o ena ine ik ara eth ric elle ya us"),
    "family": words("sson ovic ez ini ski escu enko ström nen aki"),
    "place": words("ville burg mouth stad grad port abad ia holm"),
    "company": words("tech soft corp ex ix tron dyne gen"),
    "any": words("ton ford ham well ley"),
    "people": words("ian ese ish ic"),
}
_COMMON_WORDS = words("""rose march grant hope angel mark chase dawn bush rice may banks king
    price wood stone rivers brook cook hunter mason carter fisher baker page bishop knight ridge
    mills cross bell frost snow storm light shell target gap vision orbit anchor pioneer falcon
    beacon compass echo""")
_TITLE_FIRST = words("""silent broken golden last hidden distant endless lonely second burning
    empty northern forgotten little bitter""")
_TITLE_LAST = words("""harbour winter garden letter mirror river road summer train window island
    bridge morning song house""")


@dataclass(frozen=True)
class Inventory:
    """The names of one split, all of them capitalised."""

    first: list[str]
    family: list[str]
    place: list[str]
    company: list[str]
    any: list[str]
    people: list[str]
    common: list[str]
    title: list[str]

    def person(self, draw: Draw) -> str:
        """Return a person's name of one to three words."""
        family = draw.pick((self.family, self.any, self.any, self.common))
        forms = (
            f"{draw.pick(self.first)} {draw.pick(family)}",
            f"{draw.pick(self.first)} {draw.pick(family)}",
            draw.pick(family),
            draw.pick(family),
            draw.pick(self.first),
            f"{draw.pick('ABCDEGHJKLMNPRST')}. {draw.pick(family)}",
            f"{draw.pick(self.first)} van {draw.pick(family)}",
        )
        return draw.pick(forms)

    def location(self, draw: Draw) -> str:
        """Return the name of a place."""
        name = draw.pick(draw.pick((self.place, self.any, self.any, self.common)))
        prefix = draw.pick(("New", "Port", "Lake", "North", "San", "Upper"))
        suffix = draw.pick(("Bay", "Island", "Valley", "Street", "Hills"))
        return draw.pick((name, name, name, name, f"{prefix} {name}", f"{name} {suffix}"))

    def organisation(self, draw: Draw) -> str:
        """Return the name of a company, a club, an office or a school."""
        name = draw.pick(draw.pick((self.company, self.any, self.any, self.common)))
        kind = draw.pick(("Group", "Holdings", "Bank", "Motors", "Foods", "Air", "United", "Labs"))
        partner = draw.pick(self.any)
        forms = (
            name,
            name,
            name,
            f"{name} {kind}",
            f"{name} {kind}",
            f"{name} & {partner}",
            f"University of {partner}",
            f"{partner} Police",
            f"{partner} City Council",
        )
        return draw.pick(forms)

    def miscellany(self, draw: Draw) -> str:
        """Return an event, a product or the title of a work."""
        name = draw.pick((self.any, self.any, self.place))
        event = draw.pick(("Cup", "Open", "Festival", "Marathon", "Prize", "Treaty"))
        maker = draw.pick(draw.pick((self.company, self.any)))
        forms = (
            f"{draw.pick(name)} {event}",
            f"{maker} {draw.pick('23456789')}{draw.pick(('0', '00', '50'))}",
            draw.pick(self.title),
        )
        return draw.pick(forms)


def inventory(split: Split) -> Inventory:
    """Return the names of one split."""

    def made(ending: str) -> list[str]:
        candidates = [
            (stem + link + end).capitalize()
            for stem in _STEMS
            for link in _LINKS
            for end in _ENDINGS[ending]
        ]
        return by_split(candidates)[split]

    titles = [f"{a} {b}".title() for a in _TITLE_FIRST for b in _TITLE_LAST]
    return Inventory(
        **{kind: made(kind) for kind in _ENDINGS},
        common=by_split([word.capitalize() for word in _COMMON_WORDS])[split],
        title=by_split(titles)[split],
    )

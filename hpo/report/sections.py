"""The sections of a report, in their order; other packages add theirs as `hpo.report_sections`.

A plug-in is a `hpo.report.blocks.Section`. Nothing here knows what a section shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hpo.errors import BadInput
from hpo.plugins import Plugins
from hpo.report.blocks import Block, Section, Text, Undrawable
from hpo.report.subject import Say, Subject

SECTIONS = Plugins(
    "report section",
    {
        "comparison": "hpo.report.comparison:SECTION",
        "confirmation": "hpo.report.confirmed:SECTION",
        "test": "hpo.report.test_split:SECTION",
        "best-so-far": "hpo.report.best_so_far:SECTION",
        "trials": "hpo.report.trial_table:SECTION",
        "importance": "hpo.report.importance:SECTION",
        "slices": "hpo.report.slices:SECTION",
        "landscape": "hpo.report.landscape:SECTION",
        "parallel": "hpo.report.parallel:SECTION",
        "curves": "hpo.report.learning_curves:SECTION",
        "classes": "hpo.report.classes:SECTION",
        "mistakes": "hpo.report.mistakes:SECTION",
        "timeline": "hpo.report.timeline:SECTION",
        "failures": "hpo.report.failures:SECTION",
    },
    "hpo.report_sections",
)


@dataclass(frozen=True)
class Made:
    """A section as it came out.

    Args:
        name: of the plug-in.
        title: its heading.
        blocks: what it shows; a sentence, where that failed.
        missing: why there is nothing to show; empty where there is something.
    """

    name: str
    title: str
    blocks: list[Block] = field(repr=False)
    missing: str = ""


def make_sections(subjects: Sequence[Subject], say: Say, plugins: Plugins = SECTIONS) -> list[Made]:
    """Make every section that fits: one study's, or those that compare several."""
    wanted = "one" if len(subjects) == 1 else "several"
    made = []
    for name in plugins.names():
        try:
            section = plugins.load(name)
        except BadInput as error:
            made.append(Made(name, name, [Text(str(error))]))
            continue
        if section.of == wanted:
            say(f"{section.title.lower()} …")
            made.append(_made(name, section, subjects))
    return [each for each in made if each.blocks]


def _made(name: str, section: Section, subjects: Sequence[Subject]) -> Made:
    blocks: list[Block] = []
    try:
        for block in section.make(subjects):
            blocks.append(block)  # noqa: PERF402 - those before an error are kept
    except Undrawable as reason:
        blocks.append(Text(str(reason)))
        if len(blocks) == 1:
            return Made(name, section.title, blocks, missing=str(reason))
    except Exception as error:  # noqa: BLE001 - a page without one section is better than none
        blocks.append(Text(f"This could not be made: {type(error).__name__}: {error}"))
    return Made(name, section.title, blocks)

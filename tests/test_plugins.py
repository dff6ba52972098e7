"""Plug-ins by name: ours, those of other packages, and mistakes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.errors import BadInput
from hpo.plugins import Plugins, nearest

TABLE = {"fraction": "fractions:Fraction", "decimal": "decimal:Decimal"}
PLUGINS = Plugins("number", TABLE, "hpo.test_numbers")


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """Install a package with one good and one broken plug-in, and the name of one of ours."""
    info = tmp_path / "foreign-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hpo.test_numbers]\n"
        "good = foreign_numbers:GOOD\n"
        "broken = foreign_numbers_broken:BROKEN\n"
        "decimal = foreign_numbers:GOOD\n"
    )
    (tmp_path / "foreign_numbers.py").write_text("GOOD = 3\n")
    (tmp_path / "foreign_numbers_broken.py").write_text("raise OSError('no such library')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield PLUGINS
    for name in ("foreign_numbers", "foreign_numbers_broken"):
        sys.modules.pop(name, None)


def test_a_name_of_ours_is_imported_on_first_use() -> None:
    """The table names a module and an attribute; nothing is imported before it is asked for."""
    code = (
        "import sys; from hpo.plugins import Plugins\n"
        "plugins = Plugins('number', {'fraction': 'fractions:Fraction'}, 'none')\n"
        "assert plugins.names() == ['fraction'] and 'fractions' not in sys.modules\n"
        "assert plugins.load('fraction') is sys.modules['fractions'].Fraction\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_packages_add_names(foreign: Plugins) -> None:
    """Entry points stand behind the table, and ours wins where both have a name."""
    assert foreign.names() == ["fraction", "decimal", "good", "broken"]
    assert foreign.load("good") == 3
    assert foreign.load("decimal").__name__ == "Decimal"


def test_a_broken_plug_in_hurts_only_those_who_name_it(foreign: Plugins) -> None:
    """A plug-in that fails on import is reported with its reason; the others still load."""
    with pytest.raises(BadInput, match=r"number 'broken'.*foreign_numbers_broken.*no such library"):
        foreign.load("broken")
    assert foreign.load("fraction")


def test_an_unknown_name_lists_what_exists() -> None:
    """An unknown name is an error that lists the known ones and the nearest."""
    with pytest.raises(BadInput) as caught:
        PLUGINS.load("fractoin")
    assert caught.value.problems == [
        "number: found 'fractoin'; known are fraction, decimal; did you mean 'fraction'?"
    ]


@pytest.mark.parametrize(
    ("name", "hint"), [("learning_rte", "; did you mean 'learning_rate'?"), ("xyz", "")]
)
def test_nearest(name: str, hint: str) -> None:
    """A near name is suggested, a far one is not."""
    assert nearest(name, ["learning_rate", "seed"]) == hint

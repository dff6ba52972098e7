"""CoNLL-style column files: columns, blanks, comments, line ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hpo.errors import DataError

if TYPE_CHECKING:
    from tests.data.conftest import Pairs, Study

VALIDATION = "Rome B-LOC\nis O\n"
EXPECTED = [(["EU", "rejects", "calls"], ["B-ORG", "O", "O"]), (["Ann", "Lee"], ["B-PER", "I-PER"])]


@pytest.mark.parametrize(
    "content",
    [
        "EU B-ORG\nrejects O\ncalls O\n\nAnn B-PER\nLee I-PER\n",
        "EU B-ORG\nrejects O\ncalls O\n\nAnn B-PER\nLee I-PER",  # no final newline
        "\n\nEU\tB-ORG\nrejects\tO\ncalls\tO\n\t\n\n\nAnn\tB-PER\nLee\tI-PER\n\n\n",
        "EU B-ORG\r\nrejects O\r\ncalls O\r\n\r\nAnn B-PER\r\nLee I-PER\r\n",
        "EU B-ORG\rrejects O\rcalls O\r\rAnn B-PER\rLee I-PER",
        "\ufeffEU B-ORG\nrejects O\ncalls O\n\nAnn B-PER\nLee I-PER\n",
        "EU  NNP   B-ORG\nrejects VBZ O\ncalls\tNNS O \n\nAnn NNP B-PER\nLee NNP I-PER\n",
        "EU\tNNP\tB-ORG\nrejects\tVBZ O\ncalls NNS\tO\n\nAnn\tNNP\tB-PER\nLee\tNNP I-PER\n",
        "-DOCSTART- -X- O\nEU NNP B-ORG\nrejects VBZ O\ncalls NNS O\n-DOCSTART- -X- O\n"
        "Ann NNP B-PER\nLee NNP I-PER\n",
        "-DOCSTART-\n\nEU B-ORG\nrejects O\ncalls O\n\nAnn B-PER\nLee I-PER\n",
        "# id 7\tdomain=en\nEU _ _ B-ORG\nrejects _ _ O\ncalls _ _ O\n\n# a comment of 4 x\n"
        "Ann _ _ B-PER\n# within\nLee _ _ I-PER\n",
        "#\tsource\nEU\tB-ORG\nrejects\tO\ncalls\tO\n\n#\tsource two\nAnn\tB-PER\nLee\tI-PER\n",
    ],
)
def test_one_data_set_in_many_layouts(study: Study, pairs: Pairs, content: str) -> None:
    """However its lines are laid out, the rows of a file are the same."""
    study.write({"a.conll": content, "b.conll": VALIDATION})
    data = study.load("tokens", train="a.conll", validation="b.conll")
    assert pairs(data.train) == EXPECTED


@pytest.mark.parametrize(
    "name", ["a.conll", "a.txt", "a.iob", "a.bio", "a.tsv", "eng.train", "a.annotated", "a"]
)
def test_the_name_of_a_column_file_is_free(study: Study, pairs: Pairs, name: str) -> None:
    """A file that looks like columns is read as such, whatever its extension."""
    study.write({name: "EU\tB-ORG\nrejects\tO\ncalls\tO\n\nAnn\tB-PER\nLee\tI-PER\n"})
    study.write({"v": VALIDATION})
    assert pairs(study.load("tokens", train=name, validation="v").train) == EXPECTED


@pytest.mark.parametrize(
    "columns", [{"tags_column": 3}, {"tags_column": -2}, {"tokens_column": 1, "tags_column": 3}]
)
def test_columns_can_be_chosen(study: Study, pairs: Pairs, columns: dict[str, Any]) -> None:
    """The columns of token and tag may be given by number, from either end."""
    word = "1" if "tokens_column" not in columns else "EU"
    study.write({"a": "1\tEU\tNNP\tB-ORG\tx\n", "b": "1\tUN\tNNP\tB-ORG\ty\n"})
    data = study.load("tokens", train="a", validation="b", **columns)
    assert pairs(data.train) == [([word], ["B-ORG"])]


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("\u200b O", "\u200b"),
        ("\u200b\tO", "\u200b"),
        ("\tO", ""),
        (" O", ""),
        ("\u00a0 O", "\u00a0"),
        ("a\u2028b O", "a\u2028b"),
        ("# O", "#"),
        ("#tag O", "#tag"),
        ('" O', '"'),
        ("-- O", "--"),
    ],
)
def test_odd_tokens_keep_their_place(study: Study, line: str, token: str) -> None:
    """A token that is empty, invisible or a sign stays where it is, with its tag."""
    separator = "\t" if "\t" in line else " "
    lines = [f"EU{separator}B-ORG", line, f"Ann{separator}B-PER"]
    study.write({"a.txt": "\n".join(lines), "b.txt": VALIDATION})
    data = study.load("tokens", train="a.txt", validation="b.txt")
    assert data.train.rows[:] == {
        "tokens": [["EU", token, "Ann"]],
        "tags": [["B-ORG", "O", "B-PER"]],
    }


def test_tokens_with_blanks_between_tabs(study: Study) -> None:
    """Between tabs a token may hold blanks, as telephone numbers do."""
    study.write({"a.txt": "EU\tB-ORG\n0 61 23\tO\n", "b.txt": VALIDATION})
    data = study.load("tokens", train="a.txt", validation="b.txt")
    assert data.train.rows["tokens"][0] == ["EU", "0 61 23"]


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("EU B-ORG\nx\nrejects O\n", {}, "a.txt, line 2: found one column, 'x'; expected 2"),
        ("EU N B-ORG\nx O\ny N O\n", {}, "a.txt, line 2: found 2 columns; expected 3"),
        ("EU N B-ORG\nNew York N O\ny N O\n", {}, "a.txt, line 2: found 4 columns; expected 3"),
        ("EU\nrejects\n", {}, "a.txt: found one column"),
        ("-DOCSTART-\n\n", {}, "a.txt: found no token"),
        ("EU B-ORG\n", {"tags_column": 4}, "data.tags_column: found 4 for the column file a.txt"),
        ("EU B-ORG\n", {"tags_column": "ner"}, "data.tags_column: found 'ner'"),
        ("EU B-ORG\n", {"tokens_column": "words"}, "data.tokens_column: found 'words'"),
        ("\nEU B-ORG\nx X-\n", {}, "a.txt, line 3, tags: found the tag 'X-'"),
        ("EU B-ORG\n\nx O\ny B\n", {}, "a.txt, line 4, tags: found the tag 'B'"),
        ("EU ORG\n", {}, "a.txt, line 1, tags: found the tag 'ORG'"),
        ("EU\tB-ORG\nx\t\n", {}, "a.txt, line 2, tags: found empty text"),
        ("A B-X\nB B-X\n\nC O\n# c\nD I-X\n", {}, "a.txt, line 6: found 'I-X' after 'O'; IOB2"),
    ],
)
def test_refused(study: Study, content: str, columns: dict[str, Any], message: str) -> None:
    """What is wrong in a column file is named with its line."""
    study.write({"a.txt": content, "b.txt": VALIDATION})
    with pytest.raises(DataError) as caught:
        study.load("tokens", train="a.txt", validation="b.txt", **columns)
    assert caught.value.problems[0].startswith(message)


IOB1 = """-DOCSTART- -X- O O

SILICON NNP - I-ORG
BANK NNP - I-ORG
(" NNP - O
Santa NNP - I-LOC
Clara NNP - I-LOC
Yu NNP - I-PER

Oslo NNP - I-LOC
Bergen NNP - B-LOC
Ann NNP - I-PER

-DOCSTART- -X- O O

Yu NNP - I-PER
"""
IOB2 = """{"tokens": ["SILICON", "BANK", "(\\"", "Santa", "Clara", "Yu"],
"ner_tags": ["B-ORG", "I-ORG", "O", "B-LOC", "I-LOC", "B-PER"]}
{"tokens": ["Oslo", "Bergen", "Ann"], "ner_tags": ["B-LOC", "B-LOC", "B-PER"]}
{"tokens": ["Yu"], "ner_tags": ["B-PER"]}
""".replace(",\n", ", ")


def test_conll_2003_layout_equals_its_conversion(study: Study, pairs: Pairs) -> None:
    """Four columns in IOB1 and JSONL in IOB2 of the same rows: same rows, labels, fingerprint."""
    study.write({"train.txt": IOB1, "train.jsonl": IOB2, "test.txt": IOB1, "test.jsonl": IOB2})
    files: dict[str, Any] = {"train": "train.txt", "test": "test.txt", "validation_fraction": 0.34}
    lines: dict[str, Any] = {
        "train": "train.jsonl",
        "test": "test.jsonl",
        "validation_fraction": 0.34,
    }
    first, second = study.load("tokens", **files), study.load("tokens", **lines)
    assert pairs(first.train) == pairs(second.train)
    assert pairs(first.validation) == pairs(second.validation)
    assert first.labels == second.labels
    assert first.labels == ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    assert first.fingerprint == second.fingerprint
    tests = study.load_test("tokens", **files), study.load_test("tokens", **lines)
    assert tests[0]
    assert tests[1]
    assert pairs(tests[0]) == pairs(tests[1])
    assert tests[0].counts == {"LOC": 3, "ORG": 1, "PER": 3}
    assert any("IOB1" in notice for notice in first.notices)
    assert not any("IOB" in notice for notice in second.notices)

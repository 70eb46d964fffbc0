import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.names import MAX_LENGTH, RESERVED, Names, comment, identifier

LEGAL = re.compile(r"[a-z][a-z0-9_]*")


@given(st.text(max_size=60))
def test_any_text_becomes_an_identifier(text: str) -> None:
    name = identifier(text)
    assert LEGAL.fullmatch(name)
    assert len(name) <= MAX_LENGTH + 1
    assert name not in RESERVED


@pytest.mark.parametrize(
    ("text", "name"),
    [("Conv_0", "conv_0"), ("/a/b:0", "a_b_0"), ("int", "int_"), ("wire", "wire_"), ("0", "n0"),
     ("", "n"), ("ü", "n"), ("a" * 50, "a" * 40), ("a\n*/ evil", "a_evil")],
)  # fmt: skip
def test_identifiers(text: str, name: str) -> None:
    assert identifier(text) == name


@given(st.lists(st.text(st.sampled_from("aA_0:ü"), max_size=4), max_size=30))
def test_names_are_handed_out_once(texts: list[str]) -> None:
    names = Names(frozenset({"a", "a_2"}))
    given_out = [names(t) for t in texts]
    assert [names(t) for t in texts] == given_out
    assert len(set(given_out)) == len(set(texts))
    assert not {"a", "a_2"} & set(given_out)
    assert names.fresh("a") not in given_out


@given(st.text())
def test_comments_are_harmless(text: str) -> None:
    plain = comment(text)
    assert len(plain) <= 80
    assert all(" " <= c <= "~" for c in plain)
    for bad in ("*/", "/*", "//", "\\", "??", "`", "$", '"'):
        assert bad not in plain

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.service.json_documents import MAX_DEPTH, InvalidJsonError, parse_json


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1,]",
        b"NaN",
        b'{"price": Infinity}',
        b'{"a": 1} trailing',
        b'{"a": "\xff\xfe"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1, "a": 2}',
        b'[{"b": {"a": 1, "c": 3, "a" : 1}}]',
        b'{"a": 1, "\\u0061": 2}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    ],
)
def test_what_a_lenient_parser_would_repair_is_refused_without_quoting_it(text: bytes) -> None:
    with pytest.raises(InvalidJsonError) as refusal:
        parse_json(text)
    assert len(str(refusal.value)) < 80


def test_strings_that_look_like_keys_are_no_repeated_keys() -> None:
    assert parse_json(b'{"a": "\\"a\\": 1", "b": "x\\":"}') == {"a": '"a": 1', "b": 'x":'}


def test_the_deepest_allowed_document_is_allowed() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_every_valid_document_comes_back_as_it_was(document: Any) -> None:
    assert parse_json(json.dumps(document).encode()) == document

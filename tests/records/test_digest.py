"""A key depends on every value and on no order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glocalseg.records.digest import KEY_DIGITS, content_key, digest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_a_key_depends_on_values_and_not_on_their_order(parts: dict[str, object]) -> None:
    backwards = dict(reversed(list(parts.items())))
    assert content_key(backwards) == content_key(parts)
    assert content_key(json.loads(json.dumps(parts))) == content_key(parts)
    assert len(content_key(parts)) == KEY_DIGITS


@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=5), st.data())
def test_a_key_depends_on_every_value(parts: dict[str, object], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(parts)))
    assert content_key({**parts, name: ["changed", parts[name]]}) != content_key(parts)


def test_what_is_no_number_has_no_digest() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        digest({"a": float("nan")})

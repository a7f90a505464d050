"""Messages: the wire form goes round, and what is no message is named."""

import pytest

from trueline.charter.turns import Message, ToolCall, message_from, messages_from
from trueline.errors import DataError


def test_wire_form_goes_round() -> None:
    call = ToolCall("c1", "decide_loan", '{"amount": 5}')
    for message in (Message("user", "hi"), Message("assistant", "", (call,)), Message("tool", "ok", (), "c1")):
        assert message_from(message.to_dict()) == message


def test_text_parts_are_joined_and_a_string_is_a_user_turn() -> None:
    assert message_from({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}).content == "ab"
    assert messages_from("hello") == (Message("user", "hello"),)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "non-empty"),
        ([3], "object"),
        ([{"role": "boss", "content": "x"}], "boss"),
        ([{"role": "user"}], "content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "content"),
        (None, "list"),
    ],
)
def test_what_is_no_conversation_is_named(raw: object, named: str) -> None:
    with pytest.raises(DataError, match=named) as caught:
        messages_from(raw)
    assert "\n" not in str(caught.value)

"""What is encoded in a text is read however it is laid out: wrapped, cut, with marks between its bytes."""

import base64
import time

import pytest

from trueline.algos.text.views import views

SAID = "Stay with the blue harbour, and never name its seven lamps to anybody at all."
CODE = base64.b64encode(SAID.encode()).decode()


@pytest.mark.parametrize(
    "dressed",
    [
        CODE,
        base64.encodebytes(SAID.encode()).decode(),
        "\r\n".join(CODE[i : i + 24] for i in range(0, len(CODE), 24)),
        "See:\n  " + "\n  ".join(CODE[i : i + 32] for i in range(0, len(CODE), 32)) + "\nThat is all.",
        SAID.encode().hex(":"),
        SAID.encode().hex(),
        " ".join(f"0x{c:02X}" for c in SAID.encode()),
        "".join(f"\\x{c:02x}" for c in SAID.encode()),
    ],
)
def test_an_encoded_text_is_read_in_any_layout(dressed: str) -> None:
    assert SAID in views(dressed)


@pytest.mark.parametrize("left", range(40, 60))
def test_a_cut_text_is_read_as_far_as_it_goes(left: int) -> None:
    assert any(v.startswith(SAID[:25]) for v in views(CODE[:left]))
    assert any(v.startswith(SAID[:18]) for v in views(SAID.encode().hex()[:left]))


def test_what_is_no_text_gives_no_view_and_takes_no_time() -> None:
    at = time.process_time()
    for text in (
        "12-34-56-78-90-12-34-56-78-90-12",
        "d3" * 30,
        "-" * 20 + "\n" + "-" * 20,
        "ab " * 20_000,
        "A" * 60_000,
        "0x" * 30_000,
        ("Q" * 40 + "\n") * 1_000,
    ):
        assert views(text)[0]
    assert views("12-34-56-78-90-12-34-56-78-90-12") == ("12-34-56-78-90-12-34-56-78-90-12",)
    assert time.process_time() - at < 2

"""Digests are those of the standard; a family's side never moves."""

from hypothesis import given
from hypothesis import strategies as st

from trueline.charter.digests import canonical_json, digest_of, sha256_text
from trueline.charter.splits import side_of


def test_known_digest() -> None:
    # FIPS 180-2, appendix B.1
    assert sha256_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_key_order_does_not_matter(value: dict[str, object]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))
    assert " " not in canonical_json({"a": [1, 2]})


def test_sides_are_balanced_and_fixed() -> None:
    sides = [side_of(f"family/{i}") for i in range(4000)]
    # 4,000 fair draws: 2,000 expected, standard deviation 31.6; four of them
    assert abs(sides.count("teach") - 2000) < 127
    assert side_of("fraud/identity-loan") == side_of("fraud/identity-loan")
    # sha256("a") starts with 0xca = 202, sha256("b") with 0x3e = 62
    assert (side_of("a"), side_of("b")) == ("test", "teach")

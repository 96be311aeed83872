"""Shares in words."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.rollouts.explain.words import percent


@given(share=st.floats(0, 1))
def test_only_everything_is_written_as_100_percent_and_only_nothing_as_0(share: float) -> None:
    assert (percent(share) == "100 %") == (share == 1)
    assert (percent(share) == "0 %") == (share == 0)


def test_a_share_has_three_digits() -> None:
    assert [percent(share) for share in (0.05, 1 / 3, 0.9949, 0.9997)] == ["5 %", "33.3 %", "99.5 %", ">99 %"]

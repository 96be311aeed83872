"""Packing many texts in a row leaves turns to other threads, so that it does not hold the event loop."""

from __future__ import annotations

from resource import RUSAGE_THREAD, getrusage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.packed import CALLS_BETWEEN_PAUSES, pack, unpack

TEXT = b"".join(b'kube_pod_info{namespace="team-1",pod="web-%d"} 1\n' % number for number in range(50))
PACKED = pack(TEXT)


@given(st.binary())
def test_what_is_packed_is_unpacked(content: bytes) -> None:
    assert unpack(pack(content)) == content


def test_texts_of_series_are_packed_to_a_fraction() -> None:
    assert len(PACKED) < len(TEXT) / 5


@pytest.mark.parametrize(("call", "content"), [(pack, TEXT), (unpack, PACKED)])
def test_a_thread_pauses_every_few_calls(call: object, content: bytes) -> None:
    assert callable(call)
    pauses = 10
    before = getrusage(RUSAGE_THREAD).ru_nvcsw  # how often the thread has waited for something
    for _ in range(pauses * CALLS_BETWEEN_PAUSES):
        call(content)
    assert getrusage(RUSAGE_THREAD).ru_nvcsw - before >= pauses

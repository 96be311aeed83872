"""Packing many texts in a row leaves turns to other threads, so that it does not hold the event loop."""

from __future__ import annotations

from resource import RUSAGE_THREAD, getrusage
from time import thread_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.packed import SECONDS_BETWEEN_PAUSES, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = b"".join(b'kube_pod_info{namespace="team-1",pod="web-%d"} 1\n' % number for number in range(50))
PACKED = pack(TEXT)


@given(st.binary())
def test_what_is_packed_is_unpacked(content: bytes) -> None:
    assert unpack(pack(content)) == content


def test_texts_of_series_are_packed_to_a_fraction() -> None:
    assert len(PACKED) < len(TEXT) / 5


@pytest.mark.parametrize(("call", "content"), [(pack, TEXT), (unpack, PACKED)])
def test_a_thread_that_packs_or_unpacks_all_the_time_pauses_now_and_then(
    call: Callable[[bytes], bytes], content: bytes
) -> None:
    pauses = 20
    before = getrusage(RUSAGE_THREAD).ru_nvcsw  # how often the thread has waited for something
    end = thread_time() + pauses * SECONDS_BETWEEN_PAUSES
    while thread_time() < end:
        call(content)
    assert getrusage(RUSAGE_THREAD).ru_nvcsw - before >= pauses / 2

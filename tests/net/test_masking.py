"""Text of others is shown without what looks like a secret, and otherwise as it is."""

from __future__ import annotations

import pytest

from exporter.net.masking import mask_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('up{db_password="a \\"b\\" c",pod="web-1"} 1', 'up{db_password=***,pod="web-1"} 1'),
        ('{"apiKey": "k-1", "user": "ann"}', '{"apiKey": ***, "user": "ann"}'),
        ("Authorization: Basic YW5uOmh1c2g=", "Authorization: ***"),
        ("got Bearer abcdef0123456789 here", "got Bearer *** here"),
        ("https://ann:hush@store.example/x", "https://***@store.example/x"),
        ("https://store.example/x?token=hush&a=1", "https://store.example/x?token=***&a=1"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2ln end", "jwt *** end"),
        ("AKIAIOSFODNN7EXAMPLE ghp_0123456789abcdefghij", "*** ***"),
        ("x=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY1", "x=***"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        'rollout_info{namespace="shop",name="checkout",phase="Paused"} 1',
        'kube_pod_info{uid="3f0c1d2e-1111-2222-3333-444455556666",pod="checkout-6c68fb46d4-x7k2p"} 1',
        "registry.example/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "controller_clientset_k8s_request_total 4711",
        "http://argo-rollouts-metrics.argo-rollouts.svc:8090/metrics",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert mask_secrets(text) == text


@pytest.mark.parametrize("part", ["a-", "10.0.0.1-ip-node.", "x-y."])
def test_a_text_of_one_long_word_stays_as_it_is(part: str) -> None:
    text = part * (64_000 // len(part))  # minutes, if the time grew with the square of the length
    assert mask_secrets(text) == text

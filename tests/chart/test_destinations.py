"""What the chart makes for the destinations of messages about updates."""

from __future__ import annotations

from tests.chart.helm import documents, find_manifest, render


def test_the_network_policy_opens_the_ports_of_the_destinations_of_messages() -> None:
    sets = {
        "networkPolicy.enabled": "true",
        "config.last9.change_events.enabled": "true",
        "config.last9.refresh_token_file": "/etc/token",
        "config.webhooks.url_file": "/etc/url",
        "config.grafana.address": "http://grafana.monitoring:3000",
    }
    arguments = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]

    def ports(*more: str) -> list[int]:
        rendered = render("--set", "last9.cluster.name=a", *arguments, *more)
        policy = find_manifest(documents(rendered), "NetworkPolicy")
        return [rule["ports"][0]["port"] for rule in policy["spec"]["egress"] if "to" not in rule]

    assert ports() == [53, 3000, 443, 443]
    assert ports("--set", "config.last9.change_events.dry_run=true") == [53, 3000, 443]
    assert ports("--set", "config.last9.address=https://proxy.example:8443") == [53, 3000, 8443, 443]

"""How long a sequential gate will take: from the service's present traffic in the store, if that can be read."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Final

from exporter.commands.gate.run import endpoint
from exporter.gate.render.evidence import TRAFFIC_SECONDS, bursts_query, traffic_queries
from exporter.gate.sequential import ServiceTraffic, detectable_factor, expected_minutes
from exporter.gate.template import HttpHeader, PrometheusProvider
from exporter.metrics import Failure
from exporter.net.prometheus_api import PrometheusClient
from exporter.net.prometheus_response import Hints, Scalar, Vector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.render.answers import Answers, Credential
    from exporter.net.prometheus_api import PrometheusEndpoint
    from exporter.net.prometheus_response import QueryValue

READ_HINTS: Final = Hints(address="--address", credential="the credential", tls="--address", timeout="--address")
TIMEOUT_SECONDS: Final = 10.0
"""The gate is printed whatever the store does, so that nobody waits longer for an estimate."""
MUCH_WORSE: Final = 5.0
"""The second factor whose detection is estimated: an outage of the canary rather than a regression."""


def read_endpoint(address: str, credential: Credential | None) -> PrometheusEndpoint:
    """Return the store at an address. Raises GateError."""
    headers = (HttpHeader("Authorization", credential.header),) if credential else ()
    provider = PrometheusProvider(address, "", headers=headers)
    return replace(endpoint(provider), hints=READ_HINTS, timeout=TIMEOUT_SECONDS)


async def service_traffic(client: PrometheusClient, answers: Answers) -> ServiceTraffic | Failure:
    """Query the service's present traffic, and how bursty its bad requests were."""
    values = []
    for query in (*traffic_queries(answers), bursts_query(answers)):
        result = await client.query(query)
        if isinstance(result, Failure):
            return result
        number = first_value(result.value)
        values.append(number if isfinite(number) else 0.0)
    requests, bad, burst = values
    return ServiceTraffic(requests, bad / requests if requests else 0.0, max(burst, 1.0))


def first_value(value: QueryValue) -> float:
    """Return the number of a scalar, or of a vector's first series; NaN for none."""
    if isinstance(value, Scalar):
        return value.value
    samples = value.samples if isinstance(value, Vector) else ()
    return samples[0].value if samples else nan


async def estimate(answers: Answers, credential: Credential | None) -> Iterator[str]:
    """Return lines on how long the gate will take. Raises GateError for an address that cannot be one."""
    if not answers.read_address:
        return without_traffic(answers, "there is no address")
    async with PrometheusClient(read_endpoint(answers.read_address, credential)) as client:
        traffic = await service_traffic(client, answers)
    if isinstance(traffic, Failure):
        return without_traffic(answers, traffic.message)
    if not traffic.bad_per_minute:
        what = "bad requests" if traffic.requests else "requests"
        reason = (
            f"the store has no {what} of it in the last {TRAFFIC_SECONDS // 60} min; check --metric, --service-label"
        )
        return without_traffic(answers, f"{reason} and --namespace")
    return with_traffic(answers, traffic)


def without_traffic(answers: Answers, reason: str) -> Iterator[str]:
    """Yield how many bad requests the gate needs, and the reason for which their rate is unknown."""
    test, share = answers.sequential_test, answers.weight / 100
    yield (
        f"at a weight of {answers.weight} % the gate needs about {test.expected_events(share, 1):.0f} bad requests of "
        f"canary and stable to pass an equal canary, and {test.expected_events(share, test.worse):.0f} to fail one "
        f"{test.worse:g} times as bad"
    )
    yield f"how long that takes is unknown, since the service's traffic is: {reason}"


def with_traffic(answers: Answers, traffic: ServiceTraffic) -> Iterator[str]:
    """Yield how long the gate takes with the service's traffic, and what it cannot decide."""
    test, share, limit = answers.sequential_test, answers.weight / 100, answers.duration / 60
    bursts = f", in bursts ({traffic.burst:.1f} times the variance of single ones)" if traffic.burst > 1 else ""
    yield (
        f"{answers.service} gets {traffic.requests:.3g} requests/s, of which {traffic.bad_share:.2%} are bad{bursts}; "
        f"the canary gets {answers.weight} %"
    )
    factors = (1.0, test.worse, max(MUCH_WORSE, test.worse))
    minutes = {factor: expected_minutes(test, traffic, share, factor) for factor in factors}
    passes = _decision("passes", minutes.pop(1.0), limit)
    yield f"an equal canary {passes}; at most {100 * test.false_alarm:.3g} % of them fail"
    for factor, duration in minutes.items():
        yield f"one {factor:g} times as bad {_decision('fails', duration, limit)}"
    if expected_minutes(test, traffic, share, 1.0) > limit or minutes[test.worse] > limit:
        yield from _remedies(answers, traffic, limit)


def _decision(verb: str, minutes: float, limit: float) -> str:
    if minutes <= limit:
        return f"{verb} after about {max(minutes, 1):.0f} min"
    needed = f": that takes about {format_minutes(minutes)}" if minutes < inf else ""
    return f"mostly stays undecided in the gate's {limit:.0f} min{needed}"


def _remedies(answers: Answers, traffic: ServiceTraffic, limit: float) -> Iterator[str]:
    test = answers.sequential_test
    factor = detectable_factor(test, traffic, answers.weight / 100, limit)
    what = f"finds a canary that is {factor:.1f} times as bad" if factor < inf else "finds no regression by its errors"
    yield f"in that time the gate {what}; undecided, the rollout pauses. Raise --weight, --count or --worse"


def format_minutes(minutes: float) -> str:
    """Format minutes as such, or as hours or days if there are many."""
    for unit, length in (("days", 1440), ("h", 60)):
        if minutes >= 2 * length:
            return f"{minutes / length:.0f} {unit}"
    return f"{minutes:.0f} min"

"""For each finding of the doctor, a way to break a healthy world so that it appears, on real sockets and files."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trustme

from exporter.demo.servers import ARGO_TYPE
from tests.doctor.world import SECRET, World, answer, in_turn, serve
from tests.otlp.backend import status
from tests.otlp.certificates import replace_file, server_tls
from tests.otlp.grpc_backend import GrpcBackend
from tests.otlp.raw_server import never_read, serve_raw, tunnel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import pytest

    Provocation = Callable[[World, Path, pytest.MonkeyPatch], AbstractAsyncContextManager[None]]
    Generator = Callable[[World, Path, pytest.MonkeyPatch], AsyncIterator[None]]

PROVOCATIONS: dict[str, list[Provocation]] = {}
ALSO: dict[str, set[str]] = {
    # What the same fault entails, or what else its provocation breaks.
    "setting": {"otlp-no-credential"},
    "target-tls": {"controller-only-standbys"},
    "credential-scheme": {"otlp-proxy"},
    "state-empty": {"sources-disagree"},
}


def provokes(name: str) -> Callable[[Generator], Generator]:
    """Register a provocation of a finding."""

    def register(generator: Generator) -> Generator:
        PROVOCATIONS.setdefault(name, []).append(asynccontextmanager(generator))
        return generator

    return register


def setting(name: str, settings: dict[str, object], environment: dict[str, str] | None = None) -> None:
    """Register settings and variables as a provocation."""

    async def generator(world: World, *_: object) -> AsyncIterator[None]:
        world.settings |= settings
        world.environment |= environment or {}
        yield

    provokes(name)(generator)


def page(name: str, source: str, change: Callable[[World], object], **settings: object) -> None:
    """Register pages of a source as a provocation: `change` returns the handlers."""

    async def generator(world: World, *_: object) -> AsyncIterator[None]:
        handlers = change(world)
        setattr(world, source, handlers if isinstance(handlers, list) else [handlers])
        world.settings |= settings
        yield

    provokes(name)(generator)


def without(text: str, pattern: str) -> str:
    """Return a page without the lines that match."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.search(pattern, line))


# settings

setting("setting", {"otlp.timeout": "soon"})
setting("setting-doubtful", {"attributes": {"cluster": "c", "k8s.pod.name": "x"}})
setting("placeholder", {"attributes": {"cluster": "${CLUSTER}"}})
setting("remote-write-endpoint", {"otlp.endpoint": "http://127.0.0.1:1/api/v1/write"})
setting("attribute-collision", {"attributes": {"cluster": "c", "namespace": "prod"}})
setting("header-line-break", {"otlp.headers": {"authorization": f"Basic {SECRET}\nx"}})
setting("interval-too-long", {f"{s}.interval": "5m" for s in ("argo", "kube_state_metrics", "rollout_state")})


@provokes("header-line-break")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    file = directory / "header"
    file.write_text(f"Basic {SECRET}\n{SECRET}")
    world.settings |= {"otlp.headers": {}, "otlp.authorization_file": str(file)}
    yield


@provokes("otel-config-file")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    file = directory / "otel.yaml"
    file.write_text("file_format: '1.0'\ntracer_provider: {sampler: {always_on: }}\n")
    world.environment |= {"OTEL_CONFIG_FILE": str(file)}
    yield


@provokes("shared-target")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    async with serve(world.kube[0]) as address:
        world.settings |= {"kube_state_metrics.targets": [address], "rollout_state.targets": [address]}
        world.settings["kube_state_metrics.path"] = "/metrics"
        world.kube = world.state = []
        both = answer(world.pages.kube + world.pages.state)
        async with serve(both) as shared:
            world.settings |= {"kube_state_metrics.targets": [shared], "rollout_state.targets": [shared]}
            yield


for fault, value in {
    "no-scheme": SECRET,
    "quoted": f"'Basic {SECRET}'",
    "repeated-name": f"Authorization: Basic {SECRET}",
    "percent-encoded": f"Basic%20{SECRET}",
    "placeholder": "Basic <token>",
    "several-tokens": f"Basic Basic {SECRET}",
    "not-base64": f"Basic user:{SECRET}",
    "no-colon": "Basic aHVzaDQ3MTE=",
    "line-break": "Basic dXNlcjpodXNoNDcxMQo=",
    "incomplete": "Basic Omh1c2g0NzEx",
}.items():

    async def _refused(world: World, *_: object, value: str = value) -> AsyncIterator[None]:
        world.settings["otlp.headers"] = {"authorization": value}
        world.backend.default_reply = status(401)
        yield

    provokes(f"credential-{fault}")(_refused)


# targets

page("target-unauthorized", "argo", lambda world: [*world.argo, answer("who are you", 401)])
page("target-forbidden", "argo", lambda world: [*world.argo, answer("Forbidden", 403)])
page("target-status", "argo", lambda world: [*world.argo, answer("404 page not found", 404)])
page("target-status", "kube", lambda _: answer("oops", 503))
page("target-redirect", "argo", lambda world: [*world.argo, answer(b"", 302, Location="https://login.test/")])
page("target-web-page", "kube", lambda _: answer("<html>nginx</html>", kind="text/html"))
page("target-web-page", "argo", lambda world: [*world.argo, answer("<html>nginx</html>", kind="text/html")])
page(
    "address-dashboard",
    "argo",
    lambda world: [*world.argo, answer("<!doctype html><title>Argo Rollouts</title>", kind="text/html; charset=utf-8")],
)
page("target-format", "kube", lambda _: answer("x", kind="application/openmetrics-text"))
page("target-format", "state", lambda _: answer("this is not a page\n" * 20))
page("target-limit", "kube", lambda world: world.kube, **{"kube_state_metrics.limits.body": "1KiB"})
page(
    "target-malformed-lines",
    "argo",
    lambda w: [
        answer(w.pages.leader.replace("\nrollout_info{", '\nrollout_info{name="x" 1\nrollout_info{', 1)),
        w.argo[1],
    ],
)
page("target-other-component", "argo", lambda world: [*world.argo, world.kube[0]])
page(
    "target-other-component",
    "kube",
    lambda _: answer("# TYPE kube_state_metrics_build_info gauge\nkube_state_metrics_build_info 1\n"),
)
page("address-shared", "argo", lambda world: in_turn(*world.argo, world.argo[0]))
page("controller-only-standbys", "argo", lambda world: [world.argo[1]])
page(
    "controller-version",
    "argo",
    lambda w: [answer(without(w.pages.leader, "rollout_info_replicas_updated"), kind=ARGO_TYPE), w.argo[1]],
)
page(
    "controller-duplicate-metric",
    "argo",
    lambda world: [*world.argo, answer(
        'An error has occurred while serving metrics:\n\ncollected metric "analysis_template_metric_info" { label:'
        '{name:"metric" value:"rate"} label:{name:"name" value:"gate"} label:{name:"namespace" value:"shop"} '
        'label:{name:"type" value:"Web"} gauge:{value:1}} was collected before with the same name and label values\n',
        500,
    )],
)  # fmt: skip # one long answer


@provokes("address-unresolved")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    world.kube = []
    world.settings["kube_state_metrics.targets"] = ["no-such-service.monitoring.svc:8080"]
    yield


@provokes("address-unresolved")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    """A headless Service without pods."""
    world.kube = []
    world.addresses["empty.svc"] = []
    world.settings["kube_state_metrics.targets"] = ["empty.svc:8080"]
    yield


@provokes("address-limit")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    world.addresses["many.svc"] = ["127.0.0.1", "127.0.0.2"]
    async with serve(world.kube[0]) as address:
        world.kube = []
        port = address.rpartition(":")[2]
        world.settings |= {"kube_state_metrics.targets": [f"many.svc:{port}"], "kube_state_metrics.limits.addresses": 1}
        yield


@provokes("target-refused")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        world.settings["rollout_state.targets"] = [f"127.0.0.1:{closed.getsockname()[1]}"]
        world.state = []
        yield


@provokes("target-unreachable")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    # Loopback sends nothing to a broadcast address: the system refuses it.
    world.settings["rollout_state.targets"] = ["255.255.255.255:80"]
    world.state = []
    yield


@provokes("target-timeout")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    async with serve_raw(never_read) as server:
        world.state = []
        world.settings |= {"rollout_state.targets": [f"127.0.0.1:{server.port}"], "rollout_state.timeout": "200ms"}
        yield


@provokes("target-connection")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    async def speak_ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read(1)

    async with serve_raw(speak_ssh, speak_ssh) as server:
        world.state = []
        world.settings["rollout_state.targets"] = [f"127.0.0.1:{server.port}"]
        yield


@provokes("target-tls")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    async with serve(world.state[0], server_tls(trustme.CA(), "127.0.0.1")) as address:
        world.state = []
        world.settings["rollout_state.targets"] = [f"https://{address}"]
        yield


@provokes("target-credential")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    # What `load` cannot see: a certificate file that holds none.
    file = directory / "ca.pem"
    file.write_text("no certificate")
    world.settings |= {"rollout_state.targets": ["https://127.0.0.1:1"], "rollout_state.tls.ca_file": str(file)}
    world.state = []
    yield


# kube-state-metrics and rollout state

REVISION = r'annotation_rollout_argoproj_io_revision="[^"]*",?'
page("ksm-annotations", "kube", lambda w: answer(without(w.pages.kube, r"^kube_replicaset_annotations\{")))
page("ksm-annotation-key", "kube", lambda w: answer(re.sub(REVISION, "", w.pages.kube)))
page("ksm-labels", "kube", lambda w: answer(without(w.pages.kube, r"^kube_pod_labels\{")))
page(
    "ksm-label-key", "kube", lambda w: answer(re.sub(r"label_rollouts_pod_template_hash=", "label_app=", w.pages.kube))
)
page("ksm-label-key", "kube", lambda w: w.kube, **{"lifecycle.role_label": ["track"]})
page("ksm-resources", "kube", lambda w: answer(without(w.pages.kube, "kube_pod_")))
page("ksm-resources", "kube", lambda w: answer(without(w.pages.kube, "kube_replicaset_")))
page("ksm-resources", "kube", lambda _: answer(b""))
page("ksm-starting", "kube", lambda w: in_turn(answer(b""), w.kube[0]))
page(
    "ksm-version", "kube", lambda w: answer(w.pages.kube + '# TYPE kube_node_info gauge\nkube_node_info{node="n"} 1\n')
)
page("state-rbac", "state", lambda _: answer(b""))
page("state-rbac", "state", lambda w: w.kube[0])
page("state-first-version", "state", lambda w: answer(without(w.pages.state, "rollout_spec_info")))
page("state-version", "state", lambda w: answer(w.pages.state.replace("kube_customresource_", "kube_crd_")))
page(
    "state-analysis-runs",
    "argo",
    lambda w: [
        answer(
            w.pages.leader + '# TYPE analysis_run_info gauge\nanalysis_run_info{name="r",namespace="n",phase="x"} 1\n'
        ),
        w.argo[1],
    ],
)
page("sources-disagree", "state", lambda w: answer(without(w.pages.state, 'name="checkout"')))
page("sources-disagree", "argo", lambda w: [answer(without(w.pages.leader, 'name="checkout"')), w.argo[1]])


@provokes("state-empty")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    """The leader's page has no rollout, and rollout state is empty."""
    world.argo[0] = answer(without(world.pages.leader, "^rollout_"), kind=ARGO_TYPE)
    world.state = [answer(b"")]
    yield


@provokes("ksm-shard")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    """Half of the ReplicaSets, by name, are on the other shard."""
    names = sorted(set(re.findall(r'replicaset="([^"]+)"', world.pages.kube)))
    text = world.pages.kube
    for name in names[::2]:
        text = without(text, f'replicaset="{name}"')
    world.kube = [answer(text)]
    yield


# OTLP


def reply(name: str, code: int, body: bytes = b"", **headers: str) -> None:
    async def generator(world: World, *_: object) -> AsyncIterator[None]:
        world.backend.default_reply = status(code, body, **headers)
        yield

    provokes(name)(generator)


reply("otlp-unauthorized", 401)
reply("otlp-unauthorized", 403)
reply("otlp-not-found", 404)
reply("otlp-web-page", 200, b"<html>Please log in</html>", Content_Type="text/html")
reply("otlp-refused", 500)
reply("otlp-refused", 302, Location="https://login.test")
reply("otlp-proxy", 407)


@provokes("otlp-no-credential")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    world.settings["otlp.headers"] = {}
    world.backend.default_reply = status(401)
    yield


@provokes("otlp-doubled-path")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    await world.backend.start()
    world.settings["otlp.endpoint"] = world.backend.url.replace("/v1/metrics", "/v1/traces")
    await world.backend.stop()
    world.backend.default_reply = status(404)
    yield


@provokes("otlp-doubled-path")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    await world.backend.start()
    world.environment["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] = f"{world.backend.url}/v1/metrics"
    world.settings["otlp.endpoint"] = ""
    await world.backend.stop()
    world.backend.default_reply = status(404)
    yield


setting("otlp-unresolved", {"otlp.endpoint": "http://no-such-host.invalid:4318"})


@provokes("otlp-unreachable")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        world.settings["otlp.endpoint"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        yield


@provokes("otlp-timeout")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    async with serve_raw(*[never_read] * 8) as server:
        world.settings |= {"otlp.endpoint": f"http://127.0.0.1:{server.port}", "otlp.timeout": "200ms"}
        yield


@provokes("otlp-unsent")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    (directory / "ca.pem").write_text("no certificate")
    world.settings |= {"otlp.endpoint": "https://127.0.0.1:1", "otlp.tls.ca_file": str(directory / "ca.pem")}
    yield


@asynccontextmanager
async def _tls_endpoint(world: World, directory: Path, name: str, *, trusted: bool) -> AsyncIterator[str]:
    authority = trustme.CA()
    if trusted:
        world.settings["otlp.tls.ca_file"] = str(replace_file(directory / "ca.pem", authority.cert_pem.bytes()))
    async with serve(answer(b""), server_tls(authority, name)) as address:
        yield address


@provokes("otlp-tls-name")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    async with _tls_endpoint(world, directory, "otlp.test", trusted=True) as address:
        world.settings["otlp.endpoint"] = f"https://{address.replace('127.0.0.1', 'localhost')}"
        yield


@provokes("otlp-tls")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    async with _tls_endpoint(world, directory, "localhost", trusted=False) as address:
        world.settings["otlp.endpoint"] = f"https://{address.replace('127.0.0.1', 'localhost')}"
        yield


@provokes("otlp-scheme")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    async with serve(answer(b"")) as address:
        world.settings["otlp.endpoint"] = f"https://{address}"
        yield


@provokes("otlp-grpc-port")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    backend = GrpcBackend()
    await backend.start()
    world.settings["otlp.endpoint"] = f"http://{backend.target}"
    yield
    await backend.stop()


@provokes("otlp-http-port")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    async with serve(answer(b"")) as address:
        world.settings |= {"otlp.endpoint": f"http://{address}", "otlp.protocol": "grpc"}
        yield


@provokes("otlp-proxy")
async def _(world: World, _: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A proxy that refuses to tunnel; the endpoint's name is not one that is always direct."""
    async with tunnel(1, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        patch.setenv("https_proxy", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        world.settings["otlp.endpoint"] = "https://otlp.test"
        yield


@provokes("otlp-proxy")
async def _(world: World, _: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A proxy that is down."""
    patch.setenv("https_proxy", "http://127.0.0.1:1")
    world.settings["otlp.endpoint"] = "https://otlp.test"
    yield


@provokes("credential-scheme")
async def _(world: World, _: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    # A proxy that is down, so that nothing leaves this machine.
    patch.setenv("https_proxy", "http://127.0.0.1:1")
    world.settings |= {"otlp.endpoint": "https://x.invalid.last9.io", "otlp.headers": {"authorization": "Bearer x"}}
    yield


@provokes("clock-skew")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    world.backend.default_reply = status(200, Date="Sun, 01 Nov 2026 08:00:00 GMT")
    yield


# storage


@provokes("storage-impossible")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    (directory / "file").touch()
    world.settings["storage.directory"] = str(directory / "file")
    yield


@provokes("storage-unwritable")
async def _(world: World, *_: object) -> AsyncIterator[None]:
    # Even root cannot write there: the file system has no such operation.
    world.settings["storage.directory"] = "/dev/fd"
    yield


@provokes("storage-nearly-full")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    world.settings |= {"storage.directory": str(directory), "storage.max_bytes": 2**49}
    yield


@provokes("storage-locked")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    descriptor = os.open(directory / "exporter.lock", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"4711\n")
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    world.settings["storage.directory"] = str(directory)
    yield
    os.close(descriptor)


@provokes("storage-network")
async def _(world: World, directory: Path, *_: object) -> AsyncIterator[None]:
    world.settings["storage.directory"] = str(directory)
    world.mount_table = directory.parent / "mountinfo"
    world.mount_table.write_text(f"36 35 98:0 / {directory} rw - nfs4 server:/x rw\n")
    yield

"""The packaged chart: what it names, and that its links lead to files inside it."""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter import __version__
from tests.chart.helm import documents, exporter_deployment, find_manifest, run_helm
from tests.release import package_chart

if TYPE_CHECKING:
    from pathlib import Path

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
FILE = re.compile(r"`((?:sidecar|collector|examples|gates|rules|dashboards)/[^` ]*)`")
FORK = "Someone/exporter"


@pytest.fixture(scope="module")
def package(helm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the unpacked chart, as a release of a fork packages it."""
    assert helm
    output = tmp_path_factory.mktemp("package")
    package_chart(output, FORK)
    with tarfile.open(output / f"rollouts-exporter-{__version__}.tgz") as archive:
        archive.extractall(output, filter="data")
    return output / "rollouts-exporter"


@pytest.fixture(scope="module")
def chart(package: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((package / "Chart.yaml").read_text())
    return loaded


def is_inside(package: Path, path: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(package)


def test_links_and_files_of_every_page_are_in_the_package(package: Path) -> None:
    pages = sorted(package.rglob("*.md"))
    assert {"README.md", "MIGRATION.md"} <= {page.name for page in pages}
    missing = [
        f"{page.name}: {target}"
        for page in pages
        for target in [*(link[1] for link in LINK.finditer(page.read_text())), *FILE.findall(page.read_text())]
        if "://" not in target and not is_inside(package, page.parent / target)
    ]
    assert missing == []


def test_anchors_of_the_pages_are_headings(package: Path) -> None:
    for page in package.rglob("*.md"):
        headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert {anchor for anchor in re.findall(r"\]\(#([^)]+)\)", page.read_text()) if anchor not in anchors} == set()


def test_package_names_its_repository_and_its_image(package: Path, chart: dict[str, Any]) -> None:
    assert (chart["home"], chart["sources"][0]) == (f"https://github.com/{FORK}",) * 2
    assert "rollouts-exporter/rollouts-exporter" not in (package / "Chart.yaml").read_text().replace(FORK, "")
    assert chart["icon"].startswith(f"https://raw.githubusercontent.com/{FORK}/")
    assert all(maintainer["name"] for maintainer in chart["maintainers"])
    release = documents(run_helm("template", "shown", str(package)))
    (container,) = exporter_deployment(release)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"ghcr.io/{FORK.lower()}:{__version__}"


def test_artifact_hub_lists_the_images_of_the_chart(package: Path, chart: dict[str, Any]) -> None:
    images = {entry["image"] for entry in yaml.safe_load(chart["annotations"]["artifacthub.io/images"])}
    release = documents(run_helm("template", "shown", str(package), "--set", "rolloutState.create=true"))
    deployments = (exporter_deployment(release), find_manifest(release, "Deployment", "-rollout-state"))
    containers = [item for deployment in deployments for item in deployment["spec"]["template"]["spec"]["containers"]]
    assert images == {container["image"] for container in containers}


def test_annotations_of_artifact_hub_are_lists_with_addresses(chart: dict[str, Any]) -> None:
    annotations = chart["annotations"]
    assert all(isinstance(value, str) for value in annotations.values())
    for name in ("links", "screenshots"):
        for entry in yaml.safe_load(annotations[f"artifacthub.io/{name}"]):
            assert entry["url"].startswith(("https://github.com/", "https://raw.githubusercontent.com/"))


def test_pictures_are_not_in_the_package_but_everything_that_a_value_uses_is(package: Path) -> None:
    assert not (package / "pictures").exists()
    for name in ("gates", "rules", "dashboards", "sidecar", "collector", "examples"):
        assert list((package / name).iterdir()), name

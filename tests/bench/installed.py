"""`python -m tests.bench.installed`: the size of the packages that an image holds beside Python."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from tests.bench.measure import MB

NAME = "rollouts-exporter"
_REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)(?P<rest>.*)$", re.DOTALL)


def dependencies(name: str, collected: dict[str, Distribution] | None = None) -> dict[str, Distribution]:
    """Return a package and its run-time dependencies on this machine by name."""
    packages = {} if collected is None else collected
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in packages:
        return packages
    try:
        packages[key] = distribution(name)
    except PackageNotFoundError:  # for another system or another Python
        return packages
    for requirement in packages[key].requires or ():
        match = _REQUIREMENT.match(requirement)
        if match is not None and "extra ==" not in match["rest"]:
            dependencies(match["name"], packages)
    return packages


def installed_bytes(package: Distribution) -> int:
    """Return the bytes of a package's files without bytecode."""
    files = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


def main() -> None:
    """Print the sizes of the ten largest packages and of all."""
    sizes = {name: installed_bytes(package) for name, package in dependencies(NAME).items()}
    if NAME in sizes:  # installed in place, it lists nothing of itself
        sizes[NAME] = sum(file.stat().st_size for file in Path("exporter").rglob("*") if file.suffix != ".pyc")
    for name, installed in sorted(sizes.items(), key=lambda row: -row[1])[:10]:
        print(f"{installed / MB:6.1f} MB  {name}")
    print(f"{sum(sizes.values()) / MB:6.1f} MB  all {len(sizes)} packages that the exporter runs with")


if __name__ == "__main__":
    main()

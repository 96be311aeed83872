"""`python -m tests.bench.installed`: what an image of the exporter holds beside Python: its packages, as installed."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from tests.bench.measure import MB

NAME = "rollouts-exporter"
_REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)(?P<rest>.*)$", re.DOTALL)


def closure(name: str, seen: dict[str, Distribution] | None = None) -> dict[str, Distribution]:
    """Return a package and all that it needs at run time, by name; what this machine needs not is left out."""
    found = {} if seen is None else seen
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return found
    try:
        found[key] = distribution(name)
    except PackageNotFoundError:  # for another system or another Python
        return found
    for requirement in found[key].requires or ():
        match = _REQUIREMENT.match(requirement)
        if match is not None and "extra ==" not in match["rest"]:
            closure(match["name"], found)
    return found


def size(package: Distribution) -> int:
    """Return the bytes of a package's files, without what Python compiles of them."""
    files = (Path(str(package.locate_file(one))) for one in package.files or ())
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


def main() -> None:
    """Print the size of each package, the largest first, and of all."""
    sizes = {name: size(package) for name, package in closure(NAME).items()}
    if NAME in sizes:  # installed in place, it lists nothing of itself
        sizes[NAME] = sum(file.stat().st_size for file in Path("exporter").rglob("*") if file.suffix != ".pyc")
    for name, many in sorted(sizes.items(), key=lambda row: -row[1])[:10]:
        print(f"{many / MB:6.1f} MB  {name}")
    print(f"{sum(sizes.values()) / MB:6.1f} MB  all {len(sizes)} packages that the exporter runs with")


if __name__ == "__main__":
    main()

"""Seconds → a duration that Go and PromQL both read."""


def written(seconds: float) -> str:
    """Write seconds such as 150 as 2m30s."""
    whole = int(seconds)
    if whole != seconds:
        return f"{round(seconds * 1000)}ms"
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"

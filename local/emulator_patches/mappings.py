"""Event source mappings, which carry messages from a queue to a function."""

from local.emulator_patches.emulator import Properties, before_provisioning


def read_numbers() -> None:
    """Convert a mapping's numbers, because a template parameter is text.

    The emulator compares the text of MaximumConcurrency with a number, fails, and polls no queue any more.
    """
    before_provisioning("AWS::Lambda::EventSourceMapping", _read_numbers)


def _read_numbers(properties: Properties) -> Properties:
    numbers: Properties = {
        name: int(properties[name]) for name in ("BatchSize", "MaximumBatchingWindowInSeconds") if name in properties
    }
    if scaling := properties.get("ScalingConfig"):
        numbers["ScalingConfig"] = {name: int(value) for name, value in scaling.items()}
    return {**properties, **numbers}

"""Event source mappings: what carries messages from a queue to a function."""

from local.emulator_patches.emulator import Properties, before_provisioning


def read_numbers() -> None:
    """A template parameter is text, and AWS reads a number from it where one is wanted.

    The emulator compares the text of a mapping's MaximumConcurrency with a number and from then on polls no queue at all.
    """
    before_provisioning("AWS::Lambda::EventSourceMapping", _read_numbers)


def _read_numbers(properties: Properties) -> Properties:
    numbers: Properties = {
        name: int(properties[name]) for name in ("BatchSize", "MaximumBatchingWindowInSeconds") if name in properties
    }
    if scaling := properties.get("ScalingConfig"):
        numbers["ScalingConfig"] = {name: int(value) for name, value in scaling.items()}
    return {**properties, **numbers}

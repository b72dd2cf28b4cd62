# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""Access to the emulator's modules. It is installed in .venv-aws only and has no types, hence `Any`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

Properties = dict[str, Any]


def module(name: str) -> Any:
    """Return one of the emulator's modules."""
    return import_module(f"ministack.{name}")


def before_provisioning(resource_type: str, rewrite: Callable[[Properties], Properties]) -> None:
    """Create and update resources of this type with the properties that `rewrite` returns."""
    handlers = module("services.cloudformation.provisioners")._RESOURCE_HANDLERS[resource_type]
    create, update = handlers["create"], handlers["update"]

    def rewrite_and_create(logical_id: str, properties: Properties, *rest: Any) -> Any:
        return create(logical_id, rewrite(properties), *rest)

    def rewrite_and_update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        return update(physical_id, rewrite(old), rewrite(new), *rest)

    handlers["create"], handlers["update"] = rewrite_and_create, rewrite_and_update


def after_provisioning(resource_type: str, react: Callable[[str, Properties], None]) -> None:
    """Call `react` with a resource's physical id and properties whenever a stack creates or updates one."""
    handlers = module("services.cloudformation.provisioners")._RESOURCE_HANDLERS[resource_type]
    create, update = handlers["create"], handlers["update"]

    def create_and_react(logical_id: str, properties: Properties, *rest: Any) -> Any:
        created = create(logical_id, properties, *rest)
        react(created[0], properties)
        return created

    def update_and_react(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        updated = update(physical_id, old, new, *rest)
        react(updated[0], new)
        return updated

    handlers["create"], handlers["update"] = create_and_react, update_and_react

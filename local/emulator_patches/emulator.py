# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""The door to the emulator's inside. It is installed in .venv-aws only and has no types, hence `Any`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

Properties = dict[str, Any]


def module(name: str) -> Any:
    """One of the emulator's own."""
    return import_module(f"ministack.{name}")


def before_provisioning(resource_type: str, rewrite: Callable[[Properties], Properties]) -> None:
    """Have a resource created and updated with its properties as `rewrite` gives them back."""
    handlers = module("services.cloudformation.provisioners")._RESOURCE_HANDLERS[resource_type]
    create, update = handlers["create"], handlers["update"]

    def rewrite_and_create(logical_id: str, properties: Properties, *rest: Any) -> Any:
        return create(logical_id, rewrite(properties), *rest)

    def rewrite_and_update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        return update(physical_id, rewrite(old), rewrite(new), *rest)

    handlers["create"], handlers["update"] = rewrite_and_create, rewrite_and_update


def after_provisioning(resource_type: str, react: Callable[[str, Properties], None]) -> None:
    """Have `react` called with a resource's physical id and its properties, each time a stack creates or updates one."""
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

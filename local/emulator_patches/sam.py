# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""SAM templates: the values of their parameters, and the time that their transform takes."""

from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import Any

from local.emulator_patches.emulator import module

_values: ContextVar[dict[str, Any]] = ContextVar("values")


def transform_with_parameters() -> None:
    """Give the SAM transform the parameters of the deployment, as AWS does: in some properties it resolves them itself.

    The emulator gives it none, so such a property has the parameter's default whatever is deployed.
    """
    engine = module("services.cloudformation.engine")
    apply = engine._apply_transforms

    def apply_with(template: Any, provided_params: Any = None, previous_params: Any = None) -> Any:
        if engine._SAM_TRANSFORM in engine.declared_transforms(template):
            _prepare_translator()
        token = _values.set(engine._transform_parameters(template, provided_params, previous_params))
        try:
            return apply(template, provided_params, previous_params)
        finally:
            _values.reset(token)

    for name in ("engine", "changesets", "handlers"):
        module(f"services.cloudformation.{name}")._apply_transforms = apply_with


@cache
def _prepare_translator() -> None:
    """Prepare SAM's translator when the first template needs it: its import is a third of the engine's start."""
    translator: Any = import_module("samtranslator.translator.transform")
    transform = translator.transform

    def transform_with(template: Any, _none: Any, *rest: Any) -> Any:
        return transform(template, dict(_values.get()), *rest)

    translator.transform = transform_with
    edit_definitions_in_place()


def edit_definitions_in_place() -> None:
    """Let SAM edit an HTTP API's definition in place: it copies all of it twice for each route, which is most of a transform.

    The editor is given the definition that its result replaces, so nobody misses the copy.
    """
    editor: Any = import_module("samtranslator.open_api.open_api")
    if not callable(editor._deepcopy):
        raise TypeError("SAM copies definitions in a new way: adapt local/emulator_patches/sam.py.")
    editor._deepcopy = lambda definition: definition

# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""SAM templates: the values of their parameters."""

from contextvars import ContextVar
from importlib import import_module
from typing import Any

from local.emulator_patches.emulator import module

_values: ContextVar[dict[str, Any]] = ContextVar("values")


def transform_with_parameters() -> None:
    """Give the SAM transform the parameters of the deployment, as AWS does: in some properties it resolves them itself.

    The emulator gives it none, so such a property has the parameter's default whatever is deployed.
    """
    engine = module("services.cloudformation.engine")
    translator: Any = import_module("samtranslator.translator.transform")
    apply, transform = engine._apply_transforms, translator.transform

    def apply_with(template: Any, provided_params: Any = None, previous_params: Any = None) -> Any:
        token = _values.set(engine._transform_parameters(template, provided_params, previous_params))
        try:
            return apply(template, provided_params, previous_params)
        finally:
            _values.reset(token)

    def transform_with(template: Any, _none: Any, *rest: Any) -> Any:
        return transform(template, dict(_values.get()), *rest)

    translator.transform = transform_with
    for name in ("engine", "changesets", "handlers"):
        module(f"services.cloudformation.{name}")._apply_transforms = apply_with

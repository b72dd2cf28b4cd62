"""The template as Python data."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import boto3
import yaml

ROOT = Path(__file__).parents[2]


class _Loader(yaml.SafeLoader):
    """Loads CloudFormation's short forms (`!Ref x`) as their long ones (`{"Ref": "x"}`)."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt":
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


@functools.cache
def template() -> dict[str, Any]:
    """Load `template.yaml`."""
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), Loader=_Loader)
    return loaded


def resource(name: str) -> dict[str, Any]:
    """Return one resource."""
    found: dict[str, Any] = template()["Resources"][name]
    return found


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return all resources of a type, by name."""
    return {name: found for name, found in template()["Resources"].items() if found["Type"] == kind}


def variables(made: Mapping[str, str]) -> dict[str, str]:
    """Return all variables that the template gives its functions, with its defaults and the resources in `made`."""
    values = {name: str(parameter["Default"]) for name, parameter in template()["Parameters"].items()} | dict(made)
    functions = [
        template()["Globals"]["Function"],
        *(found["Properties"] for found in resources("AWS::Serverless::Function").values()),
    ]
    given = [function["Environment"]["Variables"] for function in functions if "Environment" in function]
    return {name: value if isinstance(value, str) else values[value["Ref"]] for found in given for name, value in found.items()}


@functools.cache
def deployed() -> dict[str, Any]:
    """Return the template after the SAM transform, as CloudFormation receives it."""
    with warnings.catch_warnings():
        # The translator's own warning, on the newest Pythons.
        warnings.simplefilter("ignore")
        from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]  # noqa: PLC0415 - takes a second, and few tests need it
        from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]  # noqa: PLC0415

        source = copy.deepcopy(template())
        for found in source["Resources"].values():
            for name in {"CodeUri", "ContentUri"} & found.get("Properties", {}).keys():
                found["Properties"][name] = "s3://bucket/what-sam-package-uploads"
        translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
        return cast(dict[str, Any], translator.translate(source, {}))

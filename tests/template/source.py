"""The template as Python data."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import boto3
import yaml

from tools.examples import MARKERS

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
    """Load `template.yaml` without the parameters, variables and permissions of jobs, which are their authors' own."""
    lines = (ROOT / "template.yaml").read_text().splitlines()
    loaded: dict[str, Any] = yaml.load("\n".join(_without_parts_of_jobs(lines)), Loader=_Loader)
    return loaded


def _without_parts_of_jobs(lines: Iterable[str]) -> Iterator[str]:
    """Leave out what is below the comments of these parts: each is the end of its section."""
    marked = None
    for line in lines:
        indentation = len(line) - len(line.lstrip())
        if marked is not None and line and indentation < marked:
            marked = None
        if line.strip() in _PARTS_OF_JOBS:
            marked = indentation
        if marked is None:
            yield line


_PARTS_OF_JOBS = {MARKERS[section] for section in ("Parameters", "Environment", "Permissions")}


def resource(name: str) -> dict[str, Any]:
    """Return one resource."""
    found: dict[str, Any] = template()["Resources"][name]
    return found


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return all resources of a type, by name."""
    return {name: found for name, found in template()["Resources"].items() if found["Type"] == kind}


def variables(made: Mapping[str, str]) -> dict[str, str]:
    """Return all variables that the template gives its functions, with its defaults and the resources in `made`.

    And those that Lambda itself sets: the region, a name, and as much memory as limits no process of the tests.
    """
    functions = [
        template()["Globals"]["Function"],
        *(found["Properties"] for found in resources("AWS::Serverless::Function").values()),
    ]
    given = [function["Environment"]["Variables"] for function in functions if "Environment" in function]
    named = {name: str(resolved(value, made)) for found in given for name, value in found.items()}
    given_by_lambda = {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(1 << 20),
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_REGION": "us-east-1",
    }
    return named | given_by_lambda


_NO_VALUE = object()
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Fn::If": lambda condition, then, otherwise: then if condition else otherwise,
    "Fn::Equals": lambda one, other: one == other,
    "Fn::Not": lambda condition: not condition,
    "Fn::And": lambda *conditions: all(conditions),
    "Fn::Or": lambda *conditions: any(conditions),
    "Fn::Select": lambda index, items: items[index],
    "Fn::Split": lambda separator, text: text.split(separator),
    "Fn::Sub": lambda text, *names: functools.reduce(
        lambda done, name: done.replace(f"${{{name}}}", names[0][name]), names[0] if names else (), text
    ),
}


def resolved(value: Any, parameters: Mapping[str, str] | None = None) -> Any:
    """Resolve the functions in a part of the template as CloudFormation does. A reference to a resource stays its name."""
    given = {name: str(found.get("Default", "")) for name, found in template()["Parameters"].items()} | dict(parameters or {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [each for each in map(resolve, node) if each is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        name, argument = next(iter(node.items()))
        if name == "Ref":
            return _NO_VALUE if argument == "AWS::NoValue" else given.get(argument, argument)
        if name == "Condition":
            return resolve(template()["Conditions"][argument])
        if name not in _FUNCTIONS:
            return {key: resolve(each) for key, each in node.items()}
        if isinstance(argument, str):
            argument = [argument]
        if name == "Fn::If":
            argument = [{"Condition": argument[0]}, *argument[1:]]
        return _FUNCTIONS[name](*map(resolve, argument))

    return resolve(value)


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

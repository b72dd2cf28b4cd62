"""What a job replaces in the modules that the worker uses is set back."""

from __future__ import annotations

import functools
import json
import os
import random
import socket
import sys
import threading
import time
import types
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from asyncjobs.core import clock
from asyncjobs.worker.loaded_code import LoadedCode

CODE = LoadedCode()


class ConnectedSocket(socket.socket):
    """What programs put in the place of `socket.socket`."""


class FrozenTime(datetime):
    """What a test library puts in the place of `datetime.datetime`, in each module."""


REPLACED: dict[str, tuple[Any, str, Any]] = {
    "method of a class": (json.JSONEncoder, "default", lambda _self, value: str(value)),
    "constructor": (json.JSONEncoder, "__init__", lambda *_: None),
    "inherited method": (socket.socket, "connect", lambda *_: None),
    "function in Python": (json, "dumps", functools.partial(json.dumps, default=str)),
    "function in C": (time, "time", lambda: 0.0),
    "function of the system": (os, "urandom", bytes),
    "class": (socket, "socket", ConnectedSocket),
    "class of the library's own module": (clock, "datetime", FrozenTime),
    "property": (threading.Thread, "name", property(lambda _self: "a thread")),
    "bound method": (random, "random", lambda: 0.5),
}


@pytest.fixture(autouse=True)
def noted() -> Iterator[LoadedCode]:
    CODE.note()
    yield CODE
    CODE.restore()


@pytest.mark.parametrize(("owner", "name", "value"), REPLACED.values(), ids=REPLACED)
def test_code_that_is_replaced_is_set_back(owner: Any, name: str, value: object) -> None:
    before = getattr(owner, name)
    assert not CODE.has_changed()
    setattr(owner, name, value)
    assert CODE.has_changed()
    CODE.restore()
    assert getattr(owner, name) == before
    assert not CODE.has_changed()


def test_code_that_is_deleted_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.dumps
    monkeypatch.delattr(json, "dumps")
    CODE.restore()
    assert json.dumps is before


@pytest.mark.parametrize("change", [lambda: sys.modules.update(json=types.ModuleType("json")), lambda: sys.modules.pop("json")])
def test_module_that_is_replaced_is_set_back(change: Callable[[], Any]) -> None:
    change()
    assert CODE.has_changed()
    CODE.restore()
    assert sys.modules["json"] is json


def test_variable_of_a_module_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "a_variable", 1, raising=False)
    monkeypatch.setattr(uuid, "_node", 7)
    CODE.restore()
    assert (vars(json)["a_variable"], vars(uuid)["_node"]) == (1, 7)
    assert not CODE.has_changed()


def test_code_is_noted_again_when_a_module_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def connected(*_: object) -> None: ...

    monkeypatch.setattr(socket, "create_connection", connected)  # by a package that is imported
    CODE.note()
    monkeypatch.setattr(socket, "create_connection", print)  # by its job
    CODE.restore()
    assert vars(socket)["create_connection"] is connected


def test_package_of_a_job_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("a_package_of_a_job")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    CODE.note()
    monkeypatch.setattr(module, "function", print, raising=False)
    assert not CODE.has_changed()

import pytest
import torch

from edgecheck.lab.user_traceback import place_of, root_cause


def broken():
    return torch.zeros(2) @ torch.zeros(3)


def test_the_users_line_is_named():
    with pytest.raises(RuntimeError) as caught:
        broken()
    assert "test_user_traceback.py:8 in broken" in place_of(caught.value)
    assert "\n" not in place_of(caught.value)


def test_without_a_line_the_kind_is():
    assert place_of(ZeroDivisionError("no\nreason")) == "ZeroDivisionError: no"
    assert place_of(KeyError()) == "KeyError"


def test_root_cause():
    inner, outer = ValueError("inner"), RuntimeError("outer")
    outer.__cause__ = inner
    assert root_cause(outer) is inner
    assert root_cause(inner) is inner

"""Finds on a CPU what would make a step wait for a GPU, for steps that tests/stages/test_no_waiting.py does not come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

VALUES = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::is_nonzero", "aten::equal"}


class Waited(Exception):
    """An operation that asks for values."""


class _NoValues(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name
        masked = name in ("aten::index", "aten::index_put_") and any(
            isinstance(t, torch.Tensor) and t.dtype == torch.bool for t in tree_leaves(args[1])
        )
        if name in VALUES or masked:
            raise Waited(name)
        return function(*args, **(kwargs or {}))


@contextmanager
def no_values() -> Iterator[None]:
    """Raise where a tensor is asked for its values."""
    with _NoValues():
        yield

"""What the modules that are compiled must not do, since it means something else there."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.compiled import compiling

COMPILING = compiling()
MODULES = tuple(COMPILING.modules())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_within_a_function_one_name_catches_one_kind_of_error(module: Path) -> None:
    """mypyc gives a name one type, also where `except` binds it: the second kind would become a TypeError."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for function in ast.walk(ast.parse((COMPILING.ROOT / module).read_bytes())):
        if isinstance(function, functions):
            caught = defaultdict(set)
            for handler in ast.walk(function):
                if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type is not None:
                    caught[handler.name].add(ast.unparse(handler.type))
            assert all(len(kinds) == 1 for kinds in caught.values()), f"{module}: {function.name}: {dict(caught)}"


def test_what_the_machine_code_is_made_of_includes_the_constants_that_are_compiled_in() -> None:
    sources = set(COMPILING.sources())
    assert set(MODULES) < sources
    assert Path("voicefleet/contract.py") in sources  # wire/hop.py takes the hop's MTU from it

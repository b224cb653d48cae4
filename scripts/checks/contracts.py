"""Two kinds of import rules beside those that import-linter has.

Both hold for packages that are not there yet, so a rule can be written before the code that it is about.
"""

import re
from collections.abc import Iterable

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyThese(Contract):
    """`modules` import, from outside the project, only `libraries` and the single `names` (library.name)."""

    type_name = "only"

    modules = fields.ListField(subfield=fields.StringField())
    libraries = fields.ListField(subfield=fields.StringField())
    names = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every import of the modules that leaves the project."""
        allowed = set(_words(self.libraries))
        names = set(_words(self.names))
        links = [
            (importer, imported, line)
            for importer in _within(graph, _words(self.modules))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if graph.is_module_squashed(imported) and imported not in allowed
            for line, text in _lines(graph, importer, imported)
            if not _only_names(text, imported, names)
        ]
        return ContractCheck(kept=not links, metadata={"links": links})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Say which line imports what."""
        _render(check)


class Reserved(Contract):
    """`libraries` are imported only by `users`."""

    type_name = "reserved"

    libraries = fields.ListField(subfield=fields.StringField())
    users = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at everybody who imports the libraries."""
        users = set(_within(graph, _words(self.users)))
        links = [
            (importer, library, line)
            for library in _words(self.libraries)
            if library in graph.modules
            for importer in sorted(graph.find_modules_that_directly_import(library) - users)
            for line, _ in _lines(graph, importer, library)
        ]
        return ContractCheck(kept=not links, metadata={"links": links})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Say which line imports what."""
        _render(check)


def _words(field: object) -> list[str]:
    assert isinstance(field, list)
    return [word for line in field for word in str(line).split()]


def _within(graph: ImportGraph, packages: Iterable[str]) -> list[str]:
    return sorted(
        module
        for module in graph.modules
        if any(module == package or module.startswith(f"{package}.") for package in packages)
    )


def _lines(graph: ImportGraph, importer: str, imported: str) -> list[tuple[int, str]]:
    details = graph.get_import_details(importer=importer, imported=imported)
    return sorted((detail["line_number"], detail["line_contents"]) for detail in details)


def _only_names(line: str, library: str, names: set[str]) -> bool:
    match = re.fullmatch(rf"from {re.escape(library)} import ([\w, ]+)", line.strip())
    return match is not None and {f"{library}.{name.strip()}" for name in match[1].split(",")} <= names


def _render(check: ContractCheck) -> None:
    for importer, imported, line in check.metadata["links"]:
        output.print(f"- {importer} -> {imported} (l.{line})")

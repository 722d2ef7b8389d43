"""An extension of griffe: results that are named have no type of their own; the annotation is that of their dict."""

import pathlib
import re

import griffe

PAGES = (pathlib.Path(__file__).parent / "api").glob("*.md")
SHOWN = tuple(name for page in PAGES for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.M))


class NamedResults(griffe.Extension):
    """Takes the dict's annotation away from each of its keys, in what the pages show."""

    def on_package(self, *, pkg: griffe.Module, **_) -> None:
        """Is called once the package is read."""
        for name in SHOWN:
            part = pkg[name.partition(".")[2]]
            inherited = [member.final_target for member in part.inherited_members.values()] if part.is_class else []
            for function in (part, *part.members.values(), *inherited):
                if function.is_function and function.docstring:
                    _without_types(function.docstring)


def _without_types(docstring: griffe.Docstring) -> None:
    for section in docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.returns:
            for result in section.value:
                result.annotation = None if result.name else result.annotation

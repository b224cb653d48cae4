"""A hook of mkdocs: links that leave docs/ lead into the repository, which the site is not; they become plain names."""

import re
from pathlib import PurePosixPath
from typing import Any

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<target>(?:\.\./)+[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs for each page before it is rendered."""
    depth = len(PurePosixPath(page.file.src_uri).parent.parts)

    def plain(link: re.Match[str]) -> str:
        target = link["target"]
        return link["text"] if target.count("../") > depth else link[0]

    return _LINK.sub(plain, markdown)

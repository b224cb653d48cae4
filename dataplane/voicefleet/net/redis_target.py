"""Where Redis is, apart from the client: processes that only carry the settings need not import it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from voicefleet.observability.logs import redactor


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """Where Redis is: a URL, or a file that holds it."""

    url: str | None = None
    file: Path | None = None

    def read(self) -> str:
        """The URL as of now; raises OSError or ValueError."""
        url = self.file.read_text().strip() if self.file is not None else self.url or ""
        if password := urlsplit(url).password:
            redactor.learn(password, unquote(password))
        return url

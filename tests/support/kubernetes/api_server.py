"""An API server as a test asks it: by kubectl where a user would, and by plain HTTP for what is asked again and again.

It need not be this process that started it: who knows its folder, its port and the administrator's token has it.
"""

import http.client
import json
import os
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.kubernetes.programs import Programs

Document = dict[str, Any]
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class _Kind(NamedTuple):
    """Where objects of a kind are."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        start = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        place = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{start}{place}/{self.plural}" + (f"/{name}" if name else "")


class ApiServer:
    """How to reach it, as its administrator."""

    def __init__(self, programs: Programs, folder: Path, port: int, token: str) -> None:
        self.programs, self.folder, self.port = programs, folder, port
        self.token = token
        """The administrator's."""
        self._connections = threading.local()
        self._kinds: dict[str, tuple[_Kind, ...]] = {}
        self.kubeconfig = folder / "admin.kubeconfig"
        if not self.kubeconfig.exists():
            self.make_kubeconfig("admin", token)

    @property
    def audit_log(self) -> Path:
        """What service accounts asked of the API server, one event a line."""
        return self.folder / "audit.log"

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"https://127.0.0.1:{self.port}"

    def log(self, name: str) -> Path:
        """What one of the processes said."""
        return self.folder / f"{name}.log"

    def make_kubeconfig(self, name: str, token: str, namespace: str = "default") -> Path:
        """A kubeconfig file for whoever has this token."""
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        context = {"cluster": "test", "user": name, "namespace": namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        return path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; the caller looks at how it went."""
        command = (str(self.programs.kubectl), f"--kubeconfig={self.kubeconfig}", *arguments)
        environment = os.environ | {"HOME": str(self.folder)}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=120, env=environment, check=False
        )

    def apply(self, *documents: Document) -> None:
        """`kubectl apply`; anything that is refused fails the test."""
        ran = self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, documents)))
        assert ran.returncode == 0, ran.stderr

    def ready(self) -> bool:
        """Whether it answers and is well."""
        try:
            return self._asked("/readyz")[0] == 200
        except (http.client.HTTPException, OSError):
            return False

    def one(self, namespace: str, target: str) -> Document | None:
        """An object such as `deploy/demo-signaling`, by any name that kubectl takes, or nothing."""
        word, _, name = target.partition("/")
        (kind,) = self._named(word)
        status, text = self._asked(kind.path(namespace, name))
        if status == 404:
            return None
        assert status == 200, text
        document: Document = json.loads(text)
        return document

    def every(self, namespace: str, words: str) -> list[Document]:
        """All objects of these kinds, separated by commas, or of a category."""
        found: list[Document] = []
        for kind in (kind for word in words.split(",") for kind in self._named(word)):
            status, text = self._asked(kind.path(namespace))
            assert status == 200, text
            # Items of a list do not say what they are.
            what = {"apiVersion": kind.api_version, "kind": kind.kind}
            found += [{**each, **what} for each in json.loads(text)["items"]]
        return found

    def _named(self, word: str) -> tuple[_Kind, ...]:
        if word not in self._kinds:
            self._discover()
        return self._kinds[word]

    def _discover(self) -> None:
        names: dict[str, list[_Kind]] = {}
        categories: dict[str, list[_Kind]] = {}
        for root in ("/api", "/apis"):
            status, text = self._asked(root, _DISCOVERY)
            assert status == 200, text
            for group in json.loads(text)["items"]:
                name = group["metadata"].get("name", "")
                version = group["versions"][0]
                for each in version["resources"]:
                    where = _Kind(
                        f"{name}/{version['version']}".lstrip("/"),
                        each["responseKind"]["kind"],
                        each["resource"],
                        each["scope"] == "Namespaced",
                    )
                    for word in (each["resource"], each.get("singularResource", ""), *each.get("shortNames", ())):
                        names.setdefault(word, [where])
                        names.setdefault(f"{word}.{name}", [where])
                    for category in each.get("categories", ()):
                        categories.setdefault(category, []).append(where)
        self._kinds = {word: tuple(kinds) for word, kinds in (categories | names).items()}

    def _asked(self, path: str, accept: str = "application/json") -> tuple[int, str]:
        """One question; the connection stays open for the thread's next one."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        kept: http.client.HTTPSConnection | None = getattr(self._connections, "kept", None)
        for connection in (kept, self._connected()) if kept is not None else (self._connected(),):
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                status, text = answer.status, answer.read().decode()
            except (http.client.HTTPException, OSError):
                connection.close()
                if connection is kept:
                    continue  # it was closed since, as by a new API server
                raise
            self._connections.kept = connection
            return status, text
        raise AssertionError("unreachable")

    def _connected(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=15, context=context)

"""What can go wrong at the API server, by what a caller can do about it."""


class KubernetesError(Exception):
    """The API server did not do what it was asked to."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: {message}" if message else what)
        self.what = what
        """What was asked, for a log line."""
        self.status = status
        """The HTTP status, 0 when there was no answer."""
        self.message = message
        """What the API server said."""


class NotFound(KubernetesError):
    """There is no such object: it may come later."""


class Conflict(KubernetesError):
    """The object has changed since it was read, or is there already: read it again and decide anew."""


class Refused(KubernetesError):
    """The object is invalid or an admission webhook does not want it: somebody has to change something."""


class Forbidden(KubernetesError):
    """The operator's role does not allow this: somebody has to change the role."""


class Unavailable(KubernetesError):
    """No answer, too many requests, or an error of the server: the same request may succeed later."""

    def __init__(self, what: str, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(what, status, message)
        self.retry_after = retry_after
        """Seconds that the server asked us to wait."""


def from_status(what: str, status: int, message: str, retry_after: float | None) -> KubernetesError:
    """The error that an HTTP status stands for."""
    # Nothing can be made in a namespace that is being removed; what should be in it goes, too.
    if status == 404 or (status == 403 and "because it is being terminated" in message):
        return NotFound(what, status, message)
    if status in (409, 410, 412):
        return Conflict(what, status, message)
    if status == 403:
        return Forbidden(what, status, message)
    if status == 401 or status == 429 or status >= 500:
        return Unavailable(what, status, message, retry_after)
    return Refused(what, status, message)

"""The tree of errors that people may see.

PonantError                     500  the platform failed
├── BadRequest                  400  the request cannot be served as it stands
│   └── ContextTooLong          400  prompt and answer do not fit the model
├── Unauthorized                401  no key, or a wrong one
├── Forbidden                   403  the key is right, its role is not enough
├── NotFound                    404  nothing here by that name, or not yours
├── Conflict                    409  it exists already, or is in use
├── Unprocessable               422  a field has a value that does not fit
├── TooManyRequests             429  a limit is reached; carries Retry-After
│   └── BudgetUsedUp            429  the month's tokens are used up, or do not suffice
├── UpstreamFailed              502  another server did not answer as it should
├── Unavailable                 503  not ready yet, or not any more; carries Retry-After
├── StorageFull                 507  the disk is full; what was stored is kept
└── SetupError                  500  the machine or a setting keeps Ponant from starting

Each carries a status, a stable code and a message that says what happened and what to do next.
"""

from typing import ClassVar


class PonantError(Exception):
    """The root: whatever derives from it may be shown to the person who asked.

    Args:
        message: what happened and what to do next, in one or two plain sentences.
        param: the request field that is at fault, where there is one.
        retry_after: seconds after which a second try makes sense, where that is known.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "server_error"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class BadRequest(PonantError):
    status = 400
    code = "bad_request"
    type = "invalid_request_error"


class ContextTooLong(BadRequest):
    code = "context_length_exceeded"


class Unauthorized(PonantError):
    status = 401
    code = "invalid_api_key"
    type = "authentication_error"


class Forbidden(PonantError):
    status = 403
    code = "forbidden"
    type = "permission_error"


class NotFound(PonantError):
    status = 404
    code = "not_found"
    type = "not_found_error"


class Conflict(PonantError):
    status = 409
    code = "conflict"
    type = "invalid_request_error"


class Unprocessable(PonantError):
    status = 422
    code = "unprocessable"
    type = "invalid_request_error"


class TooManyRequests(PonantError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"


class BudgetUsedUp(TooManyRequests):
    # What OpenAI's clients know a budget by that no second try helps.
    code = "insufficient_quota"
    type = "insufficient_quota"


class UpstreamFailed(PonantError):
    status = 502
    code = "upstream_failed"


class Unavailable(PonantError):
    status = 503
    code = "unavailable"


class StorageFull(PonantError):
    status = 507
    code = "storage_full"


class SetupError(PonantError):
    code = "setup_error"

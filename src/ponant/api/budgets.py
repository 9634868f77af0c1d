"""Budgets: tokens that a workspace, or a person in it, may use in a month."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from ponant.api.auth import Administrator, Caller
from ponant.api.platform import Platform, Services
from ponant.billing import Budget

router = APIRouter(prefix="/v1/admin/budgets", tags=["usage"])

_WORKSPACE = "workspace"

Whose = Annotated[
    str, Path(description="`workspace`, or the id of a person in it.", max_length=100)
]


class BudgetBody(BaseModel):
    """The request of ``PUT /v1/admin/budgets/{whose}``."""

    tokens: int = Field(
        ge=0,
        lt=2**53,
        description="Of prompts and answers, in a month (UTC); 0 lets no model be asked.",
    )


@router.get("", summary="List budgets")
def list_budgets(caller: Caller, services: Services) -> dict[str, Any]:
    """Each budget as it stands this month.

    An administrator sees the workspace's, everybody else those that they are held to.
    """
    found = services.ledger.budgets.list(caller)
    return {"object": "list", "data": [_body(one) for one in found]}


@router.put("/{whose}", summary="Set a budget")
def set_budget(
    whose: Whose, body: BudgetBody, caller: Administrator, services: Services
) -> dict[str, Any]:
    """What was used this month counts from now on.

    When it is used up, what asks a model is refused with a 429 that says until when, and watches
    pause. Both go on by themselves with the next month, or when it is raised.
    """
    person_id = _person(whose)
    if person_id is not None:
        services.accounts.directory.act_as(caller, person_id)
    made = services.ledger.budgets.set(caller, body.tokens, person_id)
    _note(services, caller, "budget.set", whose, {"tokens": body.tokens})
    return _body(made)


@router.delete("/{whose}", status_code=204, summary="Remove a budget")
def remove_budget(whose: Whose, caller: Administrator, services: Services) -> Response:
    """The workspace, or the person, is held to it no more."""
    services.ledger.budgets.remove(caller, _person(whose))
    _note(services, caller, "budget.remove", whose, {})
    return Response(status_code=204)


def _person(whose: str) -> str | None:
    return None if whose == _WORKSPACE else whose


def _note(
    services: Platform, caller: Administrator, action: str, whose: str, detail: dict[str, Any]
) -> None:
    target = caller.workspace_id if whose == _WORKSPACE else whose
    services.accounts.directory.note(caller, action, target, detail)


def _body(budget: Budget) -> dict[str, Any]:
    return {"object": "budget", **asdict(budget)}

"""Countersign's messages, as far as this example uses them.

The names are those of the JSON. A submission may leave out what is not required. Fields of an
outcome that are not declared here are ignored, and absent ones have their defaults.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

from temporalio import workflow


class Submitter(TypedDict):
    name: str
    email: str
    department: NotRequired[str]
    employeeId: NotRequired[str]


class Item(TypedDict):
    description: str
    amount: str
    date: NotRequired[str]


class Detail(TypedDict):
    label: str
    value: str


class Action(TypedDict):
    """What is done once it is approved: see once.py."""

    name: str
    arguments: NotRequired[Any]
    risk: NotRequired[str]
    reason: NotRequired[str]
    onBehalfOf: NotRequired[str]


class Document(TypedDict):
    title: str
    # Together or not at all.
    amount: NotRequired[str]
    currency: NotRequired[str]
    category: NotRequired[str]
    description: NotRequired[str]
    items: NotRequired[list[Item]]
    attachments: NotRequired[list[str]]
    details: NotRequired[list[Detail]]
    action: NotRequired[Action]


class Submission(TypedDict):
    submissionId: str
    submitter: Submitter
    document: Document
    submissionType: NotRequired[str]
    submittedAt: NotRequired[str]


class Status(StrEnum):
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"


@dataclass
class Decision:
    reviewer: str
    verdict: str
    decidedAt: str
    comment: str = ""


@dataclass
class StageOutcome:
    status: Status
    name: str = ""
    decisions: list[Decision] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    status: Status
    submissionId: str
    decidedAt: str
    jws: str = ""
    reason: str = ""
    stages: list[StageOutcome] = field(default_factory=list)


class Problem(TypedDict):
    """A detail of the failure InvalidSubmission."""

    path: str
    message: str


@workflow.defn
class ApprovalWorkflow:
    """Countersign's workers run it; this is its signature, by which calls are typed."""

    @workflow.run
    async def run(self, submission: Submission) -> Outcome:
        raise NotImplementedError

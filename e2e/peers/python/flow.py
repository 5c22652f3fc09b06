"""What is approved, and how it is decided: the JSON of the workflow's input, signal and result."""

from dataclasses import dataclass
from typing import Optional, TypedDict


class Submitter(TypedDict):
    name: str
    email: str


class Item(TypedDict):
    description: str
    amount: str
    date: str


class Document(TypedDict):
    title: str
    amount: float
    currency: str
    description: str
    items: list[Item]
    attachments: list[str]


class Submission(TypedDict):
    submissionId: str
    submissionType: str
    submitter: Submitter
    document: Document


@dataclass
class Decision:
    reviewer: str
    verdict: str
    comment: str


@dataclass
class Decided:
    submission: Submission
    # None if nobody decided in time.
    decision: Optional[Decision]


@dataclass
class Outcome:
    submissionId: str
    status: str
    reviewer: str
    comment: str

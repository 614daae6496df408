"""The jobs, and the SQS queue that they wait in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from app.aws import aws_errors
from app.chains import CHAINS


class MalformedJob(Exception):
    """A message is no job; it says what is wrong with it."""


class Job(BaseModel):
    """One job: ``{"job": "refresh-pools", "chain": "balancer"}``. Doing it twice is harmless."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: Literal["refresh-pools"] = "refresh-pools"
    chain: str

    @field_validator("chain")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CHAINS:
            raise ValueError(f"must be one of {', '.join(CHAINS)}")
        return value


@dataclass(frozen=True)
class Message:
    """A message that was received and not yet deleted.

    Attributes
    ----------
    id
        Of the message.
    receipt
        Of this delivery; deletes it or gives it back.
    body
        As it was sent.
    """

    id: str
    receipt: str
    body: str

    def job(self) -> Job:
        """Read the job.

        Raises
        ------
        MalformedJob
            The body is none.
        """
        try:
            return Job.model_validate_json(self.body)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors()]
            raise MalformedJob("; ".join(problems)) from error


class JobsQueue:
    """The queue.

    Parameters
    ----------
    client
        boto3's for SQS.
    url
        Of the queue.
    poll_seconds
        How long one ``receive`` waits for a message.
    """

    def __init__(self, client: Any, url: str, poll_seconds: int) -> None:
        self._client, self._url, self._poll_seconds = client, url, poll_seconds

    @property
    def name(self) -> str:
        """The name: the last part of the URL."""
        return self._url.rpartition("/")[2]

    def send(self, job: Job) -> None:
        """Put a job into the queue."""
        with aws_errors():
            self._client.send_message(QueueUrl=self._url, MessageBody=job.model_dump_json())

    def receive(self) -> Message | None:
        """Wait for a message; None when none came."""
        with aws_errors():
            found = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=1, WaitTimeSeconds=self._poll_seconds
            ).get("Messages", ())
        return Message(found[0]["MessageId"], found[0]["ReceiptHandle"], found[0]["Body"]) if found else None

    def delete(self, message: Message) -> None:
        """Delete a message: its job is done."""
        with aws_errors():
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def give_back(self, message: Message) -> None:
        """Let another worker have the message at once."""
        with aws_errors():
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=0
            )

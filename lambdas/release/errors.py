"""Every error that a step can raise. Step Functions matches them by class name.

A Lambda error reaches ``ErrorEquals`` as the name of the exception's own class: a base class matches
nothing there. So only the leaves below are raised, and the state machine names leaves alone.

::

    StepshipError
    ├── Transient                      the same step is run again, with back-off
    │   ├── Throttled                  an AWS API said "slow down" longer than botocore retried
    │   ├── AwsUnavailable             a 5xx, a connection that broke, an answer that never came
    │   └── ScanInProgress             ECR has not finished scanning the image
    ├── Refused                        the request or the environment does not allow this deployment
    │   ├── InvalidInput               the execution input breaks the contract
    │   ├── NoServices                 no service is registered, or none of those that were asked for
    │   ├── InvalidRegistration        a service's catalog parameter breaks the contract
    │   ├── RepositoryNotFound
    │   ├── ImageNotFound              no such tag or digest in the repository
    │   ├── DigestMismatch             tag and digest name different images
    │   ├── ScanFindings               more findings than the environment allows
    │   ├── ScanMissing                a scan is required, and none was made
    │   ├── ScanFailed                 a scan is required, and it ended without findings
    │   ├── ScanUnsupported            a scan is required, and ECR cannot scan such an image
    │   ├── ScanExpired                a scan is required, and ECR no longer keeps this one's findings up to date
    │   ├── ImageArchived              the image is archived: nothing can pull it
    │   ├── NotAnImage                 a chart, a signature, an attestation: nothing that a container runs
    │   ├── NeedlessPush               the image that was pushed makes no release yet, or no more
    │   ├── WrongArchitecture          the image has no manifest for the platform that the tasks ask for
    │   ├── LockTimeout                another deployment held the lock for too long
    │   ├── RecoveryRefused            the execution to recover from still runs
    │   ├── UnfinishedRollback         an earlier deployment was not rolled back
    │   ├── AlreadyRecorded            this execution was stopped, recovered and redriven
    │   ├── PreflightFailed            at least one check of the plan is FAIL
    │   ├── Frozen                     no deploy begins now; the message says until when
    │   ├── DeploysPaused              somebody has paused all deploys to the environment
    │   ├── PlanStale                  a service changed between the plan and the first write
    │   ├── ReleaseNotFound            the release to return to is not in the history
    │   └── ApprovalRejected           the approval was rejected, or does not count
    ├── Failed                         the deployment began and cannot be finished
    │   ├── ServiceChanged             somebody else deployed a service between the plan and its wave
    │   ├── LeaseLost                  somebody else holds the lock: touch nothing
    │   ├── NothingToReturnTo          no rollback is possible: the deployment was one itself
    │   └── RollbackTimeout            services did not become steady on the previous task definitions
    └── Unexpected                     AWS answered something that no rule here covers
        ├── AccessDenied               the step's role lacks a permission
        └── AwsError                   any other error code, or an answer or item that lacks what it must have
"""

from __future__ import annotations


class StepshipError(Exception):
    """Root of the tree; never raised itself."""


class Transient(StepshipError):
    """Running the same step again may work."""


class Throttled(Transient):
    """An AWS API kept throttling after botocore's own retries."""


class AwsUnavailable(Transient):
    """An AWS API answered 5xx, or its answer was lost on the way."""


class ScanInProgress(Transient):
    """ECR is still scanning the image."""


class Refused(StepshipError):
    """Nothing was written yet, and nothing will be."""


class InvalidInput(Refused):
    """The execution input breaks ``statemachine/input.schema.json`` or contradicts itself."""


class NoServices(Refused):
    """The services that were asked for are not registered under ``/<app>/<env>/services/``."""


class InvalidRegistration(Refused):
    """A catalog parameter is not what the contract says; the message names parameter and key."""


class RepositoryNotFound(Refused):
    """The ECR repository that a service names does not exist."""


class ImageNotFound(Refused):
    """The repository has no image with this tag or digest."""


class DigestMismatch(Refused):
    """``imageTag`` and ``imageDigest`` name different images."""


class ScanFindings(Refused):
    """The image has more findings than ``[image]`` of the environment's config allows."""


class ScanMissing(Refused):
    """A scan is required and there is none."""


class ScanFailed(Refused):
    """A scan is required and the one that was made ended without findings."""


class ScanUnsupported(Refused):
    """A scan is required and ECR cannot scan an image like this one."""


class ScanExpired(Refused):
    """A scan is required and the image is too old for ECR's continuous scanning."""


class ImageArchived(Refused):
    """The image is archived in its repository, so that nothing can pull it."""


class NotAnImage(Refused):
    """What the tag or digest names is in the repository, and is nothing that a container runs."""


class WrongArchitecture(Refused):
    """The image index has no manifest for the CPU architecture and the operating system of a task definition."""


class NeedlessPush(Refused):
    """The push of an image deploys nothing: a repository still lacks the tag, or it was pushed again since."""


class LockTimeout(Refused):
    """The lock stayed busy for longer than ``[lock] wait_timeout_seconds``."""


class RecoveryRefused(Refused):
    """The execution named in ``takeover`` is still running."""


class UnfinishedRollback(Refused):
    """An earlier deployment left the services on different releases, and nobody has rolled them back yet."""


class AlreadyRecorded(Refused):
    """What became of this execution is on record, by somebody else: it was stopped, recovered, and redriven."""


class PreflightFailed(Refused):
    """At least one preflight check is FAIL; the message lists every check that is."""


class Frozen(Refused):
    """A freeze window of the config holds now."""


class DeploysPaused(Refused):
    """Somebody has paused all deploys to the environment."""


class PlanStale(Refused):
    """A service changed between ``Plan`` and the first write."""


class ReleaseNotFound(Refused):
    """There is no such release, or no verified release to return to."""


class ApprovalRejected(Refused):
    """Somebody rejected it, or approved it without counting: nobody is named, or who asked for the deployment."""


class Failed(StepshipError):
    """The deployment began and cannot be finished."""


class ServiceChanged(Failed):
    """Somebody else, most likely an infrastructure deploy, deployed a service after it was planned."""


class LeaseLost(Failed):
    """Another execution holds the lock now. The step stops and touches nothing."""


class NothingToReturnTo(Failed):
    """No rollback is possible: the deployment that failed was one itself. Action is needed."""


class RollbackTimeout(Failed):
    """Services did not become steady on their previous task definitions in time."""


class Unexpected(StepshipError):
    """AWS answered something that no rule covers."""


class AccessDenied(Unexpected):
    """The step's role lacks a permission; the message names the call."""


class AwsError(Unexpected):
    """Any other AWS error; the message carries its code and text, or the place of what is missing."""


def leaves(root: type[StepshipError] = StepshipError) -> tuple[type[StepshipError], ...]:
    """Return the errors that may be raised: the classes of the tree without subclasses."""
    below = root.__subclasses__()
    if not below:
        return (root,)
    return tuple(leaf for child in below for leaf in leaves(child))

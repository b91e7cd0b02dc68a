"""Jobs: long work on a table in the background, with progress, that can be cancelled."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from audiomem_sql.errors import LimitError
from audiomem_sql.jobs.job import ALIVE, Job, QueueAwayError
from audiomem_sql.jobs.kinds import KINDS, checked
from audiomem_sql.jobs.queue import Queue
from audiomem_sql.serve.access import Caller
from audiomem_sql.serve.job_queue import shown
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.requests import TableName, caller_of, service_of

router = APIRouter(tags=["jobs"])
JobId = Annotated[str, Path(description="The id of the job.", examples=["5f0c9a3be81d2746"], max_length=100)]
JobState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]


class JobBody(BaseModel):
    """What is to be done: the kind, and what this kind takes."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"example": {"kind": "vacuum", "retain": "30d"}}
    )
    kind: Literal["ingest", "reembed", "vacuum", "scrub", "reshard"]


class JobProblem(BaseModel):
    """Why it failed."""

    kind: str = Field(examples=["BusyError"])
    detail: str


class JobEntry(BaseModel):
    """A job."""

    id: str
    table: str
    kind: str
    state: JobState
    cancelling: bool = Field(description="It was told to end, and will in a moment.")
    progress: float = Field(description="The part that is done, 0 to 1.")
    stage: str = Field(description="What is being done.", examples=["writing one segment"])
    created: str
    started: str | None
    ended: str | None
    digest: str = Field(description="Of table, kind and arguments.")
    token: str | None = Field(description="The name of the token that it was asked for with.")
    result: dict[str, Any] | None
    problem: JobProblem | None


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobEntry]


_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"description": "It waits; Location is where it is told of.", "model": JobEntry}
}


@router.post("/tables/{table}/jobs", status_code=202, responses=_ACCEPTED, summary="Have a job done")
async def submit(request: Request, table: TableName, body: JobBody) -> Response:
    """A job with the same input that is still to end is answered in its place."""
    service, caller = service_of(request), caller_of(request)
    caller.table(table, KINDS[body.kind].scope)
    arguments = body.model_extra or {}

    def submitted() -> Job:
        return _submitted(
            _queue(service), Job.made(table, body.kind, checked(body.kind, arguments), caller.name)
        )

    return _accepted(await service.workers.run(service.job(), submitted))


@router.get("/jobs", response_model=JobList, summary="The jobs")
async def jobs(
    request: Request,
    table: Annotated[str | None, Query(description="Of this table alone.", max_length=200)] = None,
    state: Annotated[JobState | None, Query(description="In this state alone.")] = None,
    limit: Annotated[int, Query(description="Most jobs.", ge=1, le=1000)] = 100,
) -> Any:
    """Those of tables that the caller has to do with, newest first. The last 1,000 that ended are kept."""
    service, caller = service_of(request), caller_of(request)
    names = [name for name in caller.tables if _sees(caller, name)] if table is None else [table]
    if table is not None:
        caller.table(table, _scope(caller, table))
    queue = _queue(service)
    listed = await service.workers.run(service.job(), lambda: queue.records.listed(names, limit, state))
    return {"jobs": [shown(job) for job in listed]}


@router.get("/jobs/{job}", response_model=JobEntry, summary="A job")
async def job(request: Request, job: JobId) -> Any:
    """Its state, the part that is done, and what it came to."""
    service, caller = service_of(request), caller_of(request)
    return shown(await service.workers.run(service.job(), lambda: _known(_queue(service), caller, job)))


@router.delete(
    "/jobs/{job}",
    response_model=JobEntry,
    status_code=202,
    responses={200: {"model": JobEntry, "description": "It has ended."}},
    summary="Cancel a job",
)
async def cancel(request: Request, job: JobId) -> Response:
    """What it has committed stays, and nothing is half done. One that has ended stays as it is."""
    service, caller = service_of(request), caller_of(request)

    def cancelled() -> Job:
        queue = _queue(service)
        known = _known(queue, caller, job)
        caller.table(known.table, KINDS[known.kind].scope)
        try:
            return queue.cancel(known) or known
        except QueueAwayError:
            raise _away() from None

    now = await service.workers.run(service.job(), cancelled)
    return JSONResponse(shown(now), 202 if now.state in ALIVE else 200)


@router.post("/jobs/{job}/again", status_code=202, responses=_ACCEPTED, summary="Have a job done again")
async def again(request: Request, job: JobId) -> Response:
    """One that failed, was cancelled or was interrupted, as a new job; it goes on where that ended."""
    service, caller = service_of(request), caller_of(request)

    def submitted() -> Job:
        queue = _queue(service)
        known = _known(queue, caller, job)
        caller.table(known.table, KINDS[known.kind].scope)
        if known.state in ALIVE or known.state == "done":
            raise Problem(409, f"the job is {known.state}")
        given = queue.records.with_arguments(known).arguments
        if given is None:
            raise Problem(
                409, "what the job was given is not kept here; ask the server that took it, or submit it anew"
            )
        return _submitted(queue, Job.made(known.table, known.kind, checked(known.kind, given), caller.name))

    return _accepted(await service.workers.run(service.job(), submitted))


def _queue(service: Any) -> Queue:
    queue: Queue = service.jobs
    return queue


def _submitted(queue: Queue, job: Job) -> Job:
    try:
        return queue.submit(job)
    except LimitError as error:
        raise Problem(503, str(error), kind="LimitError", headers={"Retry-After": "10"}) from None
    except QueueAwayError:
        raise _away() from None


def _away() -> Problem:
    return Problem(503, "the queue of jobs cannot be reached", kind="StorageError")


def _accepted(job: Job) -> Response:
    return JSONResponse(shown(job), 202, {"Location": f"/jobs/{job.id}"})


def _known(queue: Queue, caller: Caller, job_id: str) -> Job:
    """A job of a table that the caller has to do with; Problem 404 for any other."""
    found = queue.records.get(job_id)
    if found is None or not _sees(caller, found.table):
        raise Problem(404, "there is no such job, or the token has nothing to do with its table")
    return found


def _sees(caller: Caller, table: str) -> bool:
    return any(caller.may(table, scope) for scope in ("read", "write", "upkeep"))


def _scope(caller: Caller, table: str) -> str:
    return next((scope for scope in ("read", "write", "upkeep") if caller.may(table, scope)), "read")

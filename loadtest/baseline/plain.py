"""Baseline (b): a conventional order service.

FastAPI with a pydantic model, the SQLAlchemy ORM on asyncpg, ``SET NX EX`` in Redis against
repeats, one commit per request: order, history and outbox row in one transaction. It is meant to
be a fair comparison: a warm pool of a sensible size, no debug, no access log, uvloop, and the
faster HTTP parser where it is installed. It does less than the gateway: private fields are
stored in clear, the raw message is not stored, look-alikes are not detected.

    python -m loadtest.baseline.plain --port 8002 --database-url ... --redis-url ... --token ...
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import click
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from redis import asyncio as redis
from sqlalchemy import exc, make_url, select
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from loadtest.baseline import plain_models as models

#: More connections than this make Postgres slower on a small machine, not faster.
POOL_SIZE = 20
#: Seconds that Redis stores a submission.
SEEN_S = 3600


async def authorised(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    """Reject a request without the token. Async, or FastAPI would run it in a thread."""
    if not secrets.compare_digest(authorization, f"Bearer {request.app.state.token}"):
        raise HTTPException(401, "unknown token")


async def place(
    request: Request,
    response: Response,
    submission: models.Submission,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> models.Placed:
    """Store an order once; answer a repeat with the stored order."""
    state = request.app.state
    seen = f"seen:{idempotency_key or f'{submission.channel}:{submission.order_no}'}"
    cache: redis.Redis = state.redis
    sessions: async_sessionmaker[AsyncSession] = state.sessions
    async with sessions() as session:
        if not await cache.set(seen, "1", nx=True, ex=SEEN_S):
            response.status_code = 200
            return await _stored(session, submission)
        order, *others = models.rows(submission)
        session.add_all([order, *others])
        try:
            await session.commit()
        except exc.IntegrityError:
            await session.rollback()
            response.status_code = 200
            return await _stored(session, submission)
        except BaseException:
            # What was not stored must not count as seen, or a retry would be rejected.
            await cache.delete(seen)
            raise
        return models.Placed.of(order)


async def _stored(session: AsyncSession, submission: models.Submission) -> models.Placed:
    wanted = select(models.Order).where(
        models.Order.channel == submission.channel, models.Order.order_no == submission.order_no
    )
    order = await session.scalar(wanted)
    if order is None:
        raise HTTPException(409, "the same order is being stored")
    return models.Placed.of(order)


async def ready() -> str:
    """Answer that the service is up: FastAPI does so only once the tables exist."""
    return "ready"


def application(database_url: str, redis_url: str, token: str) -> FastAPI:
    """Return the application; it connects when the server starts it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = create_async_engine(
            make_url(database_url).set(drivername="postgresql+asyncpg"),
            pool_size=POOL_SIZE,
            max_overflow=0,
        )
        await _create_tables(engine)
        app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
        app.state.redis = redis.Redis.from_url(redis_url)
        app.state.token = token
        yield
        await app.state.redis.aclose()
        await engine.dispose()

    app = FastAPI(title="plain orders", lifespan=lifespan)
    app.post("/v1/orders", status_code=201, dependencies=[Depends(authorised)])(place)
    app.get("/readyz")(ready)
    return app


async def _create_tables(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(models.Base.metadata.create_all)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
@click.option("--database-url", required=True, envvar="PLAIN_DATABASE_URL")
@click.option("--redis-url", required=True, envvar="PLAIN_REDIS_URL")
@click.option("--token", required=True, envvar="PLAIN_TOKEN")
def main(host: str, port: int, database_url: str, redis_url: str, token: str) -> None:
    """Serve with one process until SIGTERM or Ctrl-C."""
    uvicorn.run(
        application(database_url, redis_url, token),
        host=host,
        port=port,
        loop="uvloop",
        http="auto",
        ws="none",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()

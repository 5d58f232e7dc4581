"""Start MLServer as a pod wants it: `serve.py <folder>`. Four things are done better than by `mlserver start`.

When a model does not load, upstream logs it and exits with 0, so a pod says "Completed" and nobody the reason. Here the
exit code is 1 and the exception is the container's termination message, where `kubectl describe`, KServe and Serin
find it.

Connections that are idle stay open for longer than an Envoy keeps them (an hour). Uvicorn's five seconds make both
sides close at about the same time, and a request that is under way in that moment is answered 503 by the gateway.

A prediction that fails is answered with 500 and the error, and its connection stays open. Upstream lets the exception
go on to Uvicorn, which closes the connection after the answer without a word in it: the next request of whomever else
the gateway has sent there is lost.

Garbage is collected from the moment on when the model is loaded. Looking for it among what a hundred imports make, all
of which stays, takes an eighth of the processor time of a start, and of each full collection later.
"""

import asyncio
import gc
import sys
from http import HTTPStatus
from pathlib import Path

from fastapi.responses import JSONResponse
from mlserver import MLModel
from mlserver import MLServer
from mlserver.cli.serve import load_settings
from mlserver.logging import logger
from starlette.types import ASGIApp
from starlette.types import Message
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send

KEEP_ALIVE_SECONDS = 3900
TERMINATION_LOG = Path("/dev/termination-log")
# The kubelet keeps 4096 bytes.
TERMINATION_BYTES = 4096


class Answering:
    """Answers where the application raises: by the error, as the Open Inference Protocol has it. The log says where.

    A handler for Exception would not do: Starlette answers by it, and raises the exception all the same.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            logger.exception("%s %s failed", scope["method"], scope["path"])
            told = JSONResponse({"error": f"{type(error).__name__}: {error}"}, HTTPStatus.INTERNAL_SERVER_ERROR)
            await told(scope, receive, send)


class Server(MLServer):
    """MLServer that remembers why it stopped."""

    failure: BaseException | None = None

    async def stop(self, sig: int | None = None) -> None:
        """Stop serving. Upstream calls it without a signal only while it handles a model's failure to load."""
        if sig is None:
            self.failure = sys.exception()
        await super().stop(sig)

    def _create_servers(self) -> None:
        super()._create_servers()
        self._rest_server._app.add_middleware(Answering)

    async def add_custom_handlers(self, model: MLModel) -> MLModel:
        """Called when a model has been loaded."""
        gc.freeze()
        gc.enable()
        return await super().add_custom_handlers(model)


async def serve(folder: str) -> BaseException | None:
    """Serve until a signal, or until a model does not load: then its exception."""
    settings, models = await load_settings(folder)
    settings._custom_rest_server_settings = {"timeout_keep_alive": KEEP_ALIVE_SECONDS}
    server = Server(settings)
    await server.start(models)
    return server.failure


def main(folder: str) -> int:
    """Serve; the exit code."""
    gc.disable()
    failure = asyncio.run(serve(folder))
    if failure is None:
        return 0
    reason = f"{type(failure).__name__}: {failure}"
    if TERMINATION_LOG.exists():  # only in a pod
        TERMINATION_LOG.write_bytes(reason.encode()[:TERMINATION_BYTES])
    sys.stderr.write(f"The model did not load: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""A web application that pushes: needs `pip install starlette uvicorn`.

cd examples && uvicorn web:web
curl -X POST 'http://localhost:8000/sign-up?email=ada@example.org'
"""

from jobs import app, send_welcome
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from faktory_async import UnavailableError


async def sign_up(request: Request) -> JSONResponse:
    email = request.query_params["email"]
    try:
        job = await send_welcome.push(email)
    except UnavailableError as error:
        # In bounded time, and with the truth about the job.
        return JSONResponse({"error": str(error), "maybe stored": error.maybe_executed}, 503)
    return JSONResponse({"jid": job.jid}, 202)


web = Starlette(
    routes=[Route("/sign-up", sign_up, methods=["POST"])],
    lifespan=app.asgi_lifespan,  # opens the connections to push over, and nothing else
)

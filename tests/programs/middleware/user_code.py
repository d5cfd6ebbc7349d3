import time

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.middleware.base import BaseHTTPMiddleware

app = FastAPI(redoc_url=None)


class CountRequests(BaseHTTPMiddleware):
    def __init__(self, app):
        super().__init__(app)
        self.requests = 0

    async def dispatch(self, request: Request, call_next):
        self.requests += 1
        response = await call_next(request)
        response.headers["X-Request-Number"] = str(self.requests)
        return response


app.add_middleware(CountRequests)
app.add_middleware(GZipMiddleware, minimum_size=1000)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://garden.example"],
    allow_credentials=True,
    allow_methods=["GET", "PUT"],
    allow_headers=["X-Plant"],
)


@app.middleware("http")
async def add_process_time_header(request: Request, call_next):
    start_time = time.perf_counter()
    response = await call_next(request)
    response.headers["X-Process-Time"] = str(time.perf_counter() - start_time)
    return response


class OutOfWater(Exception):
    pass


@app.exception_handler(OutOfWater)
async def out_of_water(request: Request, exc: OutOfWater):
    return JSONResponse(status_code=418, content={"message": "Fill the can first", "path": request.url.path})


@app.exception_handler(RequestValidationError)
async def validation_error(request: Request, exc: RequestValidationError):
    return PlainTextResponse("Please send a number", status_code=400)


@app.get("/")
def read_root():
    return RedirectResponse("/docs")


@app.get("/water/{litres}")
def water(litres: int):
    if litres == 0:
        raise OutOfWater
    return {"litres": litres}


@app.get("/long")
def long_text():
    return PlainTextResponse("water the plants " * 1000)


@app.put("/colour/{colour}")
def choose_colour(colour: str, response: Response):
    response.set_cookie("colour", colour, max_age=3600, samesite="lax")
    return {"colour": colour}


@app.get("/colour")
def read_colour(request: Request):
    return {"colour": request.cookies.get("colour"), "scheme": request.url.scheme, "host": request.headers["host"]}


@app.get("/broken")
def broken():
    return 1 / 0

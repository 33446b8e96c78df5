"""The `cslm` command. Each subcommand imports the heavy modules that it needs."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from server import keys

if TYPE_CHECKING:
    from server.settings import Settings

app = typer.Typer(
    name="cslm",
    help="Talk to a speech language model: serve it, check a bundle, ask it, load it, train it, measure it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

_UNAVAILABLE = 69
"""As sysexits.h has it."""
_NOT_TO_BE_HAD = frozenset({"hub_unreachable", "hub_gated", "hub_not_found"})
_ELSEWHERE: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


@app.command()
def serve(
    bundle: Annotated[
        str | None, typer.Option(help="Name of a bundle, or its directory.", show_default="cslm-mini")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", show_default="8080")] = None,
    backend: Annotated[
        str | None, typer.Option(help="auto, vllm, transformers, vllm_http or ray.", show_default="auto")
    ] = None,
    lm_url: Annotated[str | None, typer.Option(help="vLLM server of the backend vllm_http.")] = None,
    max_sessions: Annotated[int | None, typer.Option(help="Turns and sockets at once.", show_default="32")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.", show_default="info")] = None,
) -> None:
    """Serve a bundle over WebSocket and HTTP, with a page to talk at /. Every option is also a CSLM_… variable."""
    options = {
        "bundle": bundle,
        "host": host,
        "port": port,
        "backend": backend,
        "lm_url": lm_url,
        "max_sessions": max_sessions,
        "log_level": log_level,
    }
    settings = _settings({name: value for name, value in options.items() if value is not None})
    _process_setup()
    from server.logs import configure_logs
    from server.serve import serve as serve_until_signal

    configure_logs(settings.log_level)
    try:
        sys.exit(asyncio.run(serve_until_signal(settings)))
    except KeyboardInterrupt:  # uvicorn has stopped in good order and raises the signal again
        sys.exit(0)


@app.command()
def check(
    bundle: Annotated[
        str | None, typer.Argument(help="Name of a bundle, or its directory.", show_default="the bundle to serve")
    ] = None,
) -> None:
    """Verify that a bundle is complete and its parts fit together; exit status 1 if not."""
    from model.bundle import find_bundle
    from model.check import check as check_bundle
    from streaming.errors import BundleError

    settings = _settings({})
    try:
        report = check_bundle(find_bundle(bundle or settings.bundle, settings.bundles).directory)
    except BundleError as failure:
        _fail(f"{failure.message} ({failure.code})")
    for finding in report.findings:
        wrong = f" ({finding.code})" if finding.code else ""
        typer.echo(f"{'ok  ' if finding.ok else 'BAD '} {finding.what}: {finding.detail}{wrong}")
    if not all(finding.ok for finding in report.findings):
        raise typer.Exit(1)


@app.command()
def pull(
    bundle: Annotated[
        str | None,
        typer.Argument(help="Name of a bundle whose weights are elsewhere.", show_default="the bundle to serve"),
    ] = None,
    origin: Annotated[
        Path | None, typer.Option("--from", help="Local directory with the files, instead of the hub.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--to", help="Where to put it.", show_default="where `cslm serve` looks")
    ] = None,
    update: Annotated[bool, typer.Option(help="Take the current files of the source, not the locked ones.")] = False,
    offline: Annotated[bool, typer.Option(help="Fetch nothing; check the files that are there.")] = False,
) -> None:
    """Fetch the weights of a bundle, and lock their revision and checksums. Exit status 69: the source is not available."""
    from model.bundle import bundles_directory, find_bundle
    from model.pull import PullOptions, is_pulled
    from model.pull import pull as pull_bundle
    from streaming.errors import BundleError

    settings = _settings({})
    name = bundle or settings.bundle
    place = target or bundles_directory(settings.bundles) / name
    try:
        if bundle is None and not is_pulled(name):
            place = find_bundle(name, settings.bundles).directory
        else:
            pull_bundle(name, place, PullOptions(origin, update, offline), typer.echo)
    except BundleError as failure:
        _fail(f"{failure.message} ({failure.code})", _UNAVAILABLE if failure.code in _NOT_TO_BE_HAD else 2)
    typer.echo(f"{name} is in {place}; verify it with: cslm check {target or name}")


@app.command(**_ELSEWHERE)
def talk(context: typer.Context) -> None:
    """Ask recordings, typed questions or the microphone, and hear the answer."""
    _delegate("clients.talk", "talk", context)


@app.command(**_ELSEWHERE)
def load(context: typer.Context) -> None:
    """Speak recordings to a server in real time, many at once, and report its latencies."""
    _delegate("clients.load", "load", context)


app.add_typer(keys.app, name="keys")


@app.command(**_ELSEWHERE)
def replay(context: typer.Context) -> None:
    """Feed a recorded conversation to a server again, and say what differs."""
    _delegate("clients.replay", "replay", context)


@app.command(**_ELSEWHERE)
def top(context: typer.Context) -> None:
    """Sessions, stages, queues and room of a server, in the terminal."""
    _delegate("clients.top", "top", context)


@app.command(**_ELSEWHERE)
def train(context: typer.Context) -> None:
    """Run the training recipe of cslm-mini: one stage, or all."""
    main = _load("model.training.__main__", "main", context)
    raise typer.Exit(main(context.args))


@app.command("eval")
def evaluate(
    bundle: Annotated[str, typer.Argument(help="Name of a bundle, or its directory.")] = "cslm-mini",
    sets: Annotated[Path, typer.Option(help="Directory of the held-out sets; see docs/evaluation.md.")] = Path(
        "tests/data/eval"
    ),
    out: Annotated[Path, typer.Option(help="Directory of the results; an interrupted run resumes.")] = Path(
        "build/eval"
    ),
    judge: Annotated[Path | None, typer.Option(help="CTranslate2 directory of Whisper, to judge speech.")] = None,
    only: Annotated[str, typer.Option(help="Measures, separated by commas.", show_default="all")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Use only this many rows of every set.")] = None,
    backend: Annotated[str, typer.Option(help="auto, vllm, transformers or vllm_http.")] = "auto",
    lm_url: Annotated[str | None, typer.Option(help="vLLM server of the backend vllm_http.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise, and of the places that seams are compared with.")] = 0,
    fresh: Annotated[bool, typer.Option(help="Discard the results in the directory.")] = False,
) -> None:
    """Measure a bundle: the tables of arXiv 2604.11096 and more. Resumes; writes eval.json and eval.md."""
    _process_setup()
    from clients.origin import checkout, machine
    from model.evaluation.sets import EvaluationError
    from server.evaluation import evaluate as measure
    from streaming.errors import SpeechServerError

    options = {"bundle": bundle, "backend": backend} | ({"lm_url": lm_url} if lm_url else {})
    origin = {"commit": checkout(), "machine": machine(), "command": " ".join(["cslm", *sys.argv[1:]])}
    names = [name.strip() for name in only.split(",") if name.strip()]
    try:
        text = measure(
            _settings(options),
            sets=sets,
            out=out,
            judge=judge,
            only=names,
            limit=limit,
            seed=seed,
            fresh=fresh,
            origin=origin,
        )
    except SpeechServerError as failure:
        _fail(failure.message)
    except EvaluationError as failure:
        _fail(str(failure))
    except ModuleNotFoundError as failure:
        _fail(f"eval needs the package {failure.name!r}, which is not installed: see docs/evaluation.md")
    typer.echo(text)


def _process_setup() -> None:
    from model.lm.process import process_setup

    process_setup()


def _settings(options: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from server.settings import Settings

    try:
        return Settings(**options)
    except ValidationError as failure:
        first = failure.errors()[0]
        if not first["loc"]:
            _fail(str(first["msg"]))
        name = str(first["loc"][0])
        where = f"--{name.replace('_', '-')}" if name in options else f"CSLM_{name.upper()}"
        _fail(f"{where}: {first['msg']}")


def _fail(message: str, status: int = 2) -> NoReturn:
    typer.echo(f"cslm: {message}", err=True)
    raise typer.Exit(status)


def _delegate(module: str, name: str, context: typer.Context) -> None:
    """Run a typer command function that lives with the code it is about."""
    inner = typer.Typer(add_completion=False)
    inner.command(name)(_load(module, name, context))
    inner(args=context.args, prog_name=f"cslm {context.info_name}")


def _load(module: str, name: str, context: typer.Context) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as failure:
        _fail(f"{context.info_name} needs the package {failure.name!r}, which is not installed")


if __name__ == "__main__":
    app()

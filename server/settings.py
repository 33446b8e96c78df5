"""Settings: read once from `CSLM_*` variables and the command line, then frozen and passed down."""

from __future__ import annotations

import importlib.util
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from streaming.names import OPENAI_MODELS, OPENAI_VOICES, Aliases

Backend = Literal["auto", "vllm", "transformers", "vllm_http", "ray"]


AddressKind = Literal["public", "private", "loopback"]
ShownAddresses = Literal["auto", "public", "all"]


class Settings(BaseSettings):
    """How the server runs. Times in seconds, sizes in bytes. An empty variable counts as unset."""

    model_config = SettingsConfigDict(env_prefix="CSLM_", env_ignore_empty=True, frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535, description="0 takes a free port")
    handover: Path | None = Field(
        None,
        description="socket file at which the server takes over from the one before it, and hands over to the next",
    )
    bundle: str = Field("cslm-mini", description="name of a bundle, or its directory")
    bundles: Path | None = Field(None, description="where `cslm pull` puts bundles; unset: the user's cache")
    device: str = Field(
        "auto", description="device of encoder and vocoder: cpu, cuda, cuda:1; auto: cuda if there is one"
    )
    backend: Backend = Field("auto", description="what runs the language model; ray: a cluster runs all stages")
    dtype: Literal["bfloat16", "float16", "float32"] | None = Field(
        None, description="of the weights; unset: the checkpoint's"
    )
    quantization: str | None = Field(None, description="quantization of the language model in vLLM: fp8, awq, …")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share the language model")
    gpu_memory_share: float = Field(0.8, gt=0, le=1, description="share of each GPU's memory for the language model")
    max_sequences: int = Field(64, ge=1, description="turns in one step of the language model")
    eager: bool | None = Field(
        None,
        description="vLLM without compiled layers and CUDA graphs: starts sooner, answers later; unset: only on a CPU that has"
        " no compiler",
    )
    batched_tokens: int | None = Field(None, ge=32, description="tokens in one step; longer prompts are split")
    early_units: Literal["off", "watch", "commit"] = Field(
        "off", description="units of unfinished speech, from a bidirectional encoder: never, counted only, used"
    )
    early_units_share: float = Field(0.2, gt=0, le=1, description="share of the encoder's time for early units")
    speculative_turns: int = Field(
        4, ge=0, description="turns answered before it is certain that they are over, at once; 0: none"
    )
    playout_lead_s: float = Field(
        0.0, ge=0, le=2, description="audio made before the first is heard: smoother answers that begin later"
    )
    vocoder_standby: bool | None = Field(
        None, description="keep a second vocoder loaded, for when the first goes; unset: only on a CPU"
    )
    hang_s: float = Field(1.0, ge=1, description="a worker process without a sign of life for so long is replaced")
    step_s: float = Field(
        20.0, ge=1, description="longest step of a stage: a batch, a token of all answers, four blocks of speech"
    )
    lm_url: str | None = Field(None, description="vLLM server of the backend vllm_http")
    ray_address: str = Field("auto", description="host:port of the Ray cluster of backend ray; auto: this host's")
    ray_start_s: float = Field(900.0, gt=0, description="longest wait for the cluster's stages when the server starts")
    api_key: SecretStr | None = Field(None, description="key for /v1/*; unset: open to everyone")
    api_key_file: Path | None = Field(None, description="file with api_key, such as a container secret")
    keys_file: Path | None = Field(None, description="file with the hashes of keys and their limits; see `cslm keys`")
    keys: SecretStr | None = Field(None, description="what would be in keys_file")
    signing_key: SecretStr | None = Field(
        None, description="signs client secrets; unset: api_key, and without that one that this process makes up"
    )
    signing_key_file: Path | None = Field(None, description="file with signing_key")
    client_secret_uses: int = Field(16, ge=0, description="sessions that one client secret may open; 0: any number")
    usage_dir: Path | None = Field(None, description="where the use of each key is recorded; unset: nowhere")
    usage_days: int = Field(0, ge=0, description="records of more days ago are removed; 0: none")
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate and those above it: serve https"
    )
    tls_key: Path | None = Field(None, description="PEM file with its key, without a password")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="other origins whose pages may use the server, separated by commas; * for any"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="names the server answers to, separated by commas, beside addresses and private names; *.name for all "
        "below, * for any; unset: any where there is a key, else none",
    )
    model_aliases: Annotated[tuple[str, ...], NoDecode] = Field(
        OPENAI_MODELS, description="names that stand for the model, separated by commas; * for any characters"
    )
    voice_aliases: Annotated[tuple[str, ...], NoDecode] = Field(
        OPENAI_VOICES, description="names that stand for the model's first voice, in the same way"
    )
    strict_names: bool = Field(False, description="only the model's own names are accepted")
    max_sessions: int = Field(
        32, ge=1, description="turns, sockets and calls at once, however much the machine has left"
    )
    max_waiting: int = Field(
        64, ge=0, description="sessions that may wait for a place; 0: a full server refuses at once"
    )
    max_waiting_per_peer: int = Field(32, ge=1, description="of those, of one address")
    max_wait_s: float = Field(10.0, ge=0, description="longest wait for a place")
    resume_s: float = Field(
        30.0, ge=0, description="longest time a session waits for a client that lost its connection; 0: none does"
    )
    max_parked: int = Field(32, ge=0, description="sessions that wait for their clients at once")
    resume_bytes: int = Field(
        4 * 1024 * 1024,
        ge=1,
        description="events kept of a session for a client that comes back; twice as much while it is away",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses and networks of proxies whose X-Forwarded-For is believed, separated by commas"
    )
    max_connections: int = Field(1000, ge=1, description="connections at once, sockets included")
    max_connections_per_address: int = Field(
        256, ge=1, description="of them, of one address; those of trusted_proxies are not counted"
    )
    header_timeout_s: float = Field(10.0, gt=0, description="longest time until the header of a request is complete")
    min_upload_bytes_s: int = Field(1024, ge=0, description="a body that arrives more slowly is refused; 0: any rate")
    max_body_bytes: int = Field(25 * 1024 * 1024, ge=1, description="largest request body")
    max_message_bytes: int = Field(8 * 1024 * 1024, ge=1, description="largest WebSocket message that is taken")
    max_recording_s: float = Field(600.0, gt=0, description="longest recording to transcribe or translate")
    max_upload_s: float = Field(60.0, gt=0, description="longest time a request body may take to arrive")
    max_turn_s: float = Field(120.0, gt=0, description="longest time a turn may take")
    max_session_s: float = Field(3600.0, gt=0, description="longest time a realtime session may last")
    ice_servers: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="ICE servers for WebRTC, separated by commas: stun:host:port, turn:user:password@host:port"
    )
    echo_guard: bool = Field(True, description="an answer that comes back through the microphone is no turn")
    ice_peers: Annotated[tuple[AddressKind, ...], NoDecode] = Field(
        ("public", "private", "loopback"),
        description="addresses of callers that WebRTC may send to, separated by commas",
    )
    ice_addresses: ShownAddresses = Field(
        "auto",
        description="addresses of this host that WebRTC answers show; auto: to public callers public ones, if there are any",
    )
    calls_per_peer: int = Field(30, ge=1, description="WebRTC calls that one address may begin in a minute")
    keep_alive_s: int = Field(75, ge=1, description="time that a connection may wait for its next request")
    write_timeout_s: float = Field(30.0, gt=0, description="longest time a client may leave an answer unread")
    shutdown_s: float = Field(10.0, ge=0, description="seconds that active turns get when the server stops")
    otlp_endpoint: str | None = Field(
        None, description="where traces go, such as http://collector:4318; unset: nowhere. Needs the extra otel"
    )
    trace_share: float = Field(
        1.0, ge=0, le=1, description="share of sessions that are traced; a client's traceparent decides for its own"
    )
    record_dir: Path | None = Field(
        None,
        description="where sessions, calls and requests are recorded, with all that is said in them; unset: nowhere",
    )
    record_days: float = Field(7.0, gt=0, description="recordings are removed after so many days")
    record_bytes: int = Field(
        10 * 1024**3, ge=1024**2, description="of more than so many bytes of recordings the oldest are removed"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def has_keys(self) -> bool:
        """Nobody is let in without a key."""
        return not (self.api_key is None and self.keys is None and self.keys_file is None)

    @property
    def aliases(self) -> Aliases:
        """What stands for the model and its first voice."""
        if self.strict_names:
            return Aliases((), ())
        return Aliases(*(tuple(name.lower() for name in names) for names in (self.model_aliases, self.voice_aliases)))

    @field_validator(
        "allowed_hosts", "cors_origins", "ice_peers", "ice_servers", "model_aliases", "trusted_proxies", "voice_aliases",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(origin.strip() for origin in value.split(",") if origin.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                ip_network(value)
            except ValueError:
                raise ValueError(
                    f"trusted_proxies {value!r} is neither an address nor a network; accepted: 10.0.0.5, 10.0.0.0/24, fd00::/64"
                ) from None
        return values

    @field_validator("ray_address")
    @classmethod
    def _check_head(cls, value: str) -> str:
        """Ray would wait for a day at some that are wrong, and start a cluster of its own at others."""
        address = value.strip()
        if address == "auto":
            return address
        try:
            parts = urlsplit(f"//{address}")
            good = parts.hostname and parts.port and parts.netloc == address and not re.search(r"[\s@]", address)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"ray_address {value!r} is no address of a cluster; accepted: HOST:PORT, or auto")
        return address

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str | None) -> str | None:
        if value is None:
            return None
        address = urlsplit(value)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"otlp_endpoint {value!r} is no address; accepted: http://host:port or https://host:port")
        if not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError(
                "otlp_endpoint (CSLM_OTLP_ENDPOINT) needs OpenTelemetry: pip install -r requirements/otel.txt"
            )
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, values: dict[str, Any]) -> dict[str, Any]:
        """An empty or unreadable file is refused: it must not open the server to all."""
        return {**values, **_from_file("api_key", values), **_from_file("signing_key", values)}

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Settings:
        if self.backend == "vllm_http" and not self.lm_url:
            raise ValueError("backend vllm_http needs lm_url (CSLM_LM_URL)")
        if self.keys and self.keys_file:
            raise ValueError("keys and keys_file (CSLM_KEYS, CSLM_KEYS_FILE) cannot both be given")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key (CSLM_TLS_CERTIFICATE, CSLM_TLS_KEY) belong together")
        return self


_MOST_OF_A_SECRET = 4_096


def _from_file(name: str, values: dict[str, Any]) -> dict[str, str]:
    """The secret `name` from the file that `values` name for it. Raises ValueError."""
    file, variable = f"{name}_file", f"CSLM_{name.upper()}"
    path = values.get(file)
    if not path:
        return {}
    if values.get(name):
        raise ValueError(f"{name} and {file} ({variable}, {variable}_FILE) cannot both be given")
    try:
        with Path(path).open(encoding="utf-8-sig") as held:
            secret = held.read(_MOST_OF_A_SECRET + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} {path} cannot be read: {error}") from None
    if secret.split() != [secret] or not secret.isprintable() or len(secret) > _MOST_OF_A_SECRET:
        raise ValueError(
            f"{file} {path} must hold one key, on one line, without spaces or control characters, of at most "
            f"{_MOST_OF_A_SECRET} characters"
        )
    return {name: secret}


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package above it
        return False

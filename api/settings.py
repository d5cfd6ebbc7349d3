"""Everything an operator may set, read once from the environment."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_SECRET_BYTES = 32
_MONGODB: Final = ("mongodb://", "mongodb+srv://")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def travels_safely(url: str) -> bool:
    """Whether a secret may be sent there: encrypted, or without leaving the machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    )


def split_list(text: str) -> list[str]:
    """The values of a comma-separated setting."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _require_network(cidr: str) -> None:
    try:
        ip_network(cidr)
    except ValueError as error:
        raise ValueError(f"BLOCKED_CIDRS: {error}") from None


def _names_one_image(image: str) -> bool:
    """Whether everybody who fetches it gets the same image: what runs must not change unseen."""
    name, at, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    return bool(at) or bool(colon and tag and tag != "latest")


class Settings(BaseSettings):
    """Frozen settings; a field's upper-case name is its environment variable."""

    # Errors never show a value: it may be a key.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    mode: Literal["embedded", "cluster"] = Field(
        "embedded",
        description="`embedded` runs everything on this machine; `cluster` has Flux apply it to "
        "Kubernetes.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on (embedded).")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        8000, description="Port of the editor and the API."
    )
    apps_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        8001, description="Port of the users' apps, another origin than the editor (embedded)."
    )
    data_dir: Path = Field(
        Path(".platform"),
        description="Folder of the repository (in a cluster a clone, and an index of its history, "
        "both made again when they are gone), embedded also of accounts and logs.",
    )
    mongo_uri: SecretStr | None = Field(
        None,
        description="Address of the MongoDB database that keeps accounts, with name and password: "
        "`mongodb://…` or `mongodb+srv://…` (cluster, and `migrate-store`).",
    )
    base_domain: str | None = Field(
        None, description="Host of the platform; apps live on `apps.` beside it."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Signs access tokens; at least 32 bytes. Embedded: made once in `DATA_DIR`.",
    )
    previous_secret_key: SecretStr | None = Field(
        None,
        description="The key before `SECRET_KEY`: its tokens stay valid while keys are changed.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of the router, comma-separated: only their "
        "`X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
    )
    frontend_dist: Path = Field(
        Path("frontend/dist"), description="Folder of the built editor, served at `/`."
    )
    git_remote: str | None = Field(
        None,
        description="Address of the repository (https, ssh or a path); without it, it is kept in "
        "`DATA_DIR/repo.git` itself.",
    )
    publish_url: str | None = Field(
        None, description="A second repository for the branches `flux/*`; with `GIT_REMOTE` only."
    )
    git_min_push_interval: Annotated[float, Field(ge=0, le=600)] = Field(
        0.0, description="Seconds between pushes at least; GitHub advises 10."
    )
    git_poll_seconds: Annotated[float, Field(ge=0.2, le=600)] = Field(
        5.0,
        description="Seconds between looks at the remote for commits by other hands; a repository "
        "in `DATA_DIR` is looked at twice a second.",
    )
    git_token_file: Path | None = Field(
        None, description="File with the token for an https remote; read anew for every use."
    )
    github_app_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] | None = Field(
        None,
        description="Id (or client id) of a GitHub App, for an https remote instead of a token in "
        "a file: its tokens are made when they are needed and last an hour.",
    )
    github_app_installation_id: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The installation of that app which holds the repository."
    )
    github_app_key_file: Path | None = Field(
        None, description="File with that app's private key (PEM); read anew for every token."
    )
    github_api_url: str = Field(
        "https://api.github.com",
        description="Where tokens of the app are made; GitHub Enterprise: `https://<host>/api/v3`.",
    )
    git_ssh_key_file: Path | None = Field(
        None, description="File with the deploy key for an ssh remote."
    )
    git_known_hosts_file: Path | None = Field(
        None, description="File with the host keys that an ssh remote may have."
    )
    git_signing_key_file: Path | None = Field(
        None,
        description="File with the OpenSSH private key (Ed25519) that signs every commit of the "
        "platform; expected in a cluster.",
    )
    doctor_person_token_file: Path | None = Field(
        None,
        description="File with the token of a person who works with the repository: `doctor` tries "
        "whether the host refuses it on `flux/*`, by a push that cannot change anything.",
    )
    doctor_forge_token_file: Path | None = Field(
        None,
        description="File with the token of somebody who administers the repository: with it "
        "`doctor` reads the forge's rules and keys, which others may not see. Never given to the "
        "platform itself.",
    )
    forge_url: str | None = Field(
        None,
        description="Address of the forge's pages (Gitea, Forgejo), where `GIT_REMOTE` does not "
        "tell it: `https://<host>`.",
    )
    forge_webhook_secret_file: Path | None = Field(
        None,
        description="File with the secret of the forge's webhook (`/api/hooks/<forge>`), 16 bytes "
        "at least; two, one a line, while one is replaced. With it pull requests are checked when "
        "they are opened, and `main` is looked at as soon as it moves.",
    )
    forge_token_file: Path | None = Field(
        None,
        description="File with the token that writes statuses and comments of these checks; "
        "without it, the token of `GIT_REMOTE` does.",
    )
    log_format: Literal["text", "json"] | None = Field(
        None,
        description="Lines of the log: `text` for people, `json` for programs; without it, `json` "
        "in a cluster.",
    )
    token_hours: Annotated[int, Field(ge=1, le=720)] = Field(
        12, description="How long a log-in lasts, in hours."
    )
    signup: Literal["open", "invite", "closed"] = Field(
        "open", description="Who may sign up: everybody, holders of an invitation, nobody."
    )
    max_apps_per_user: Annotated[int, Field(ge=1)] = Field(
        20, description="How many apps one person may have."
    )
    idle_hours: Annotated[int, Field(ge=1)] = Field(
        24, description="Hours without use after which an app may be removed."
    )
    hibernate_hours: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Hours without use after which an app is put to sleep, less than `IDLE_HOURS`; "
        "without it, apps do not sleep before they are removed.",
    )
    cleanup_interval: Annotated[float, Field(ge=1, le=1440)] = Field(
        15.0,
        description="Minutes between looks for idle apps (embedded; in a cluster the CronJob "
        "`cleanup` has its own schedule).",
    )
    cleanup_batch: Annotated[int, Field(ge=1, le=5000)] = Field(
        1000, description="How many apps one look puts to sleep or removes at most."
    )
    traefik_metrics_url: str | None = Field(
        None,
        description="Addresses of the routers' Prometheus metrics, comma-separated, such as "
        "`http://traefik-metrics.traefik:9100/metrics`: a name that gives every router's own "
        "address. Without it nothing is known of use, and no app is removed (cluster).",
    )
    max_pinned_apps: Annotated[int, Field(ge=0)] = Field(
        2, description="How many apps one person may pin, so that they are never idle."
    )
    wake_hold_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        10.0,
        description="Seconds for which a request that wakes an app is held until the app answers.",
    )
    runner_python: Path = Field(
        Path("runner/.venv/bin/python"), description="Python that runs the apps (embedded)."
    )
    runner_image: str = Field(
        "ghcr.io/fastapi-platform/fastapi-platform-runner:dev",
        description="Image that serves one app, with a digest or a tag other than `latest` "
        "(cluster).",
    )
    kubeconfig: str | None = Field(
        None,
        description="Kubeconfig of the cluster; without it, the service account of the "
        "platform's own pod is used (cluster).",
    )
    router_url: str | None = Field(
        None,
        description="Address at which the router's entry point for apps is asked whether an app "
        "answers; without it, the apps' own origin (cluster).",
    )
    flux_receiver_url: str = Field(
        "http://webhook-receiver.flux-system",
        description="Address of Flux' webhook receiver, told which branches moved (cluster).",
    )
    flux_receiver_token_file: Path | None = Field(
        None,
        description="File with the Receiver's token, byte for byte as in its Secret; without it, "
        "Flux finds changes at its own interval only (cluster).",
    )
    image_pull_secret: str | None = Field(
        None,
        description="Secret with the credential for the runner's image; it must be in every "
        "tenant's namespace (cluster).",
    )
    blocked_cidrs: str = Field(
        "",
        description="Ranges of the cluster outside the private ones, comma-separated: pods, "
        "services, nodes, API server. Apps do not reach them (cluster).",
    )
    traefik_namespace: str = Field("traefik", description="Where the router runs (cluster).")
    traefik_entry_points: str = Field(
        "web", description="The router's entry points for apps, comma-separated (cluster)."
    )
    app_memory_mib: Annotated[int, Field(ge=64)] = Field(
        512, description="Memory an app process may use before it is ended, in MiB (embedded)."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("secret_key", "previous_secret_key"):
            key: SecretStr | None = getattr(self, name)
            if key and len(key.get_secret_value().encode()) < MIN_SECRET_BYTES:
                raise ValueError(f"{name.upper()} must have at least {MIN_SECRET_BYTES} bytes")
        for name in ("secret_key", "mongo_uri", "base_domain"):
            if self.mode == "cluster" and not getattr(self, name):
                raise ValueError(f"{name.upper()} is required when MODE=cluster")
        if self.mode == "embedded" and self.port == self.apps_port:
            raise ValueError("PORT and APPS_PORT must differ: apps need an origin of their own")
        for cidr in split_list(self.blocked_cidrs):
            _require_network(cidr)
        if self.hibernate_hours and self.hibernate_hours >= self.idle_hours:
            raise ValueError("HIBERNATE_HOURS must be less than IDLE_HOURS")
        if not split_list(self.traefik_entry_points):
            raise ValueError("TRAEFIK_ENTRY_POINTS must name one at least")
        if self.mode == "cluster" and not _names_one_image(self.runner_image):
            raise ValueError("RUNNER_IMAGE needs a digest, or a tag other than `latest`")
        return self

    @model_validator(mode="after")
    def _addresses_have_their_scheme(self) -> Self:
        if self.mongo_uri and not self.mongo_uri.get_secret_value().startswith(_MONGODB):
            raise ValueError("MONGO_URI must begin with mongodb:// or mongodb+srv://")
        urls = [
            (name, getattr(self, name)) for name in ("router_url", "flux_receiver_url", "forge_url")
        ]
        urls += [("traefik_metrics_url", u) for u in split_list(self.traefik_metrics_url or "")]
        for name, url in urls:
            if url and not url.startswith(("http://", "https://")):
                raise ValueError(f"{name.upper()} must begin with http:// or https://")
        return self

    @model_validator(mode="after")
    def _one_whole_credential(self) -> Self:
        parts = (self.github_app_id, self.github_app_installation_id, self.github_app_key_file)
        if any(parts) and not all(parts):
            raise ValueError(
                "GITHUB_APP_ID, GITHUB_APP_INSTALLATION_ID and GITHUB_APP_KEY_FILE go together"
            )
        if all(parts) and self.git_token_file:
            raise ValueError("set either GIT_TOKEN_FILE or the GITHUB_APP_… settings, not both")
        if self.forge_token_file and not self.forge_webhook_secret_file:
            raise ValueError("FORGE_TOKEN_FILE goes together with FORGE_WEBHOOK_SECRET_FILE")
        if self.forge_webhook_secret_file and not self.git_remote:
            raise ValueError("FORGE_WEBHOOK_SECRET_FILE needs GIT_REMOTE")
        if not travels_safely(self.github_api_url):
            raise ValueError("GITHUB_API_URL must be an https address")
        return self

    @property
    def log_form(self) -> Literal["text", "json"]:
        """How lines of the log are written."""
        return self.log_format or ("json" if self.mode == "cluster" else "text")

    @property
    def platform_origin(self) -> str:
        """Origin of the editor and the API, without a trailing slash."""
        return (
            f"https://{self.base_domain}" if self.base_domain else f"http://localhost:{self.port}"
        )

    @property
    def apps_origin(self) -> str:
        """Origin of the users' apps: never that of the editor, whose storage holds tokens."""
        if self.base_domain:
            return f"https://{self.host_beside('apps')}"
        return f"http://localhost:{self.apps_port}"

    def host_beside(self, label: str) -> str:
        """The host of this label beside `BASE_DOMAIN`, below the same zone."""
        return f"{label}.{(self.base_domain or '').partition('.')[2]}"

    @property
    def router_address(self) -> str:
        """Where the platform itself finds the router's entry point for apps."""
        if self.mode == "cluster":
            return self.router_url or self.apps_origin
        return f"http://{'[::1]' if self.host == '::1' else '127.0.0.1'}:{self.apps_port}"

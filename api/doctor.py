"""Looks at an installation, without writing anything, and says what is missing of its contract.

What is observed here is judged in `api/domain/*_checks.py`. What cannot be looked at is told as
such: it is never taken for well, nor for broken.
"""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import yaml

from api.clients import forge_survey, kubernetes_survey, mongo_survey, sqlite_survey
from api.clients.commit_signing import Signer, allowed_signers
from api.clients.flux_receiver import webhook_path
from api.clients.git_program import Credentials, TokenFile
from api.clients.git_survey import RemoteSurvey
from api.clients.gitops_repo import GitopsRepo
from api.clients.kubernetes_api import KubernetesApi
from api.clients.trial_push import try_push
from api.domain.flux_objects import (
    STANDING_IN,
    ClusterOptions,
    Standing,
    render_cluster,
    standing,
)
from api.domain.installation import (
    ClusterSeen,
    DatabaseSeen,
    Installation,
    Manifest,
    RepositorySeen,
    SettingsSeen,
    Trial,
    Unseen,
)
from api.domain.manifests import RenderError, RenderSettings
from api.domain.repo_layout import (
    CLUSTERS_BRANCH,
    MAIN,
    InvalidFile,
    PlatformFile,
    is_shard_branch,
    parse_platform,
)
from api.domain.template_record import RECORD, Record, digest
from api.errors import PlatformError
from api.init_repo import TEMPLATE, read_folder
from api.settings import Settings, travels_safely

_NOTHING: Final = "0" * 40
_CLUSTERS: Final = "clusters"
_FILES: Final = (
    *("git_token_file", "github_app_key_file", "git_ssh_key_file", "git_known_hosts_file"),
    *("flux_receiver_token_file", "doctor_person_token_file", "doctor_forge_token_file"),
    *("forge_webhook_secret_file", "forge_token_file"),
)
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Doctor:
    """What is needed to look; `kubeconfig` is an operator's, who may read more than the backend."""

    settings: Settings
    credentials: Credentials
    rendering: RenderSettings
    database: Path  # where accounts are in the embedded way
    repository: Path  # where it is kept without a remote
    kubeconfig: str | None = None
    cluster: str | None = None  # which folder of clusters/ is this cluster's

    async def look(self) -> Installation:
        """Observe every part; what is away is told as Unseen."""
        settings = await self._settings()
        signer = await self._signer()
        async with AsyncExitStack() as stack:
            database, looked = await asyncio.gather(
                self._database(), self._repository(stack, signer)
            )
            repository, wanted = looked
            cluster = await self._cluster(wanted, signer)
        shards = repository.shards if isinstance(repository, RepositorySeen) else ()
        forge = await forge_survey.survey(self.settings, self.credentials, next(iter(shards), None))
        return Installation(settings, repository, forge, cluster, database)

    async def _settings(self) -> SettingsSeen:
        values = self.settings
        hosts = [urlsplit(o).hostname for o in (values.platform_origin, values.apps_origin)]
        unresolved = {}
        for host in filter(None, hosts if values.base_domain else []):
            try:
                await asyncio.to_thread(socket.getaddrinfo, host, 443)
            except (socket.gaierror, UnicodeError) as error:
                unresolved[host] = str(error)
        unreadable = await asyncio.to_thread(self._unreadable)
        given = frozenset(name.upper() for name in values.model_fields_set)
        return SettingsSeen(values, given, unresolved, unreadable)

    def _unreadable(self) -> dict[str, str]:
        found = {}
        for name in _FILES:
            path: Path | None = getattr(self.settings, name)
            if path is None:
                continue
            try:
                if not path.read_bytes().strip():
                    found[name.upper()] = f"{path} is empty"
            except OSError as error:
                found[name.upper()] = f"{path} cannot be read: {error.strerror}"
        if key := self.settings.git_signing_key_file:
            try:
                Signer.load(key)
            except PlatformError as error:
                found["GIT_SIGNING_KEY_FILE"] = error.message
        return found

    async def _signer(self) -> Signer | None:
        key = self.settings.git_signing_key_file
        try:
            return await asyncio.to_thread(Signer.load, key) if key else None
        except PlatformError:
            return None  # `settings.files` tells

    async def _database(self) -> DatabaseSeen | Unseen:
        uri = self.settings.mongo_uri if self.settings.mode == "cluster" else None
        try:
            if uri is not None:
                return await mongo_survey.survey(uri.get_secret_value())
            return await sqlite_survey.survey(self.database)
        except PlatformError as error:
            return Unseen(error.message)

    async def _repository(
        self, stack: AsyncExitStack, signer: Signer | None
    ) -> tuple[RepositorySeen | Unseen, tuple[Manifest, ...] | Unseen]:
        """The repository, and the objects that its template wants in this cluster."""
        try:
            if self.settings.git_remote is None:
                repo = await self._opened(stack, self.repository)
                return await self._read(repo, await repo.heads(), signer, None)
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            remote = RemoteSurvey(
                Path(folder) / "repo.git",
                self.settings.git_remote,
                self.settings.publish_url,
                self.credentials,
            )
            branches = await remote.branches()
            await remote.fetch(branches)
            repo = await self._opened(stack, remote.path)
            return await self._read(repo, branches, signer, remote)
        except PlatformError as error:
            return Unseen(error.message), Unseen("the repository was not reached")

    async def _opened(self, stack: AsyncExitStack, path: Path) -> GitopsRepo:
        repo = GitopsRepo(path, None)
        stack.push_async_callback(repo.close)
        return repo

    async def _read(
        self,
        repo: GitopsRepo,
        branches: Mapping[str, str],
        signer: Signer | None,
        remote: RemoteSurvey | None,
    ) -> tuple[RepositorySeen, tuple[Manifest, ...] | Unseen]:
        main = branches.get(MAIN)
        platform, fault = None, f"there is no branch {MAIN}"
        record = Record()
        if main:
            try:
                platform = parse_platform(await repo.read(main, "platform.yaml") or b"")
                record = Record.parse(await repo.read(main, RECORD))
            except InvalidFile as error:
                fault = str(error)
        decided = await _known_clusters(repo, branches)
        rendered = await self._rendered(platform, decided, signer)
        faults: dict[str, str] = {}
        keys = [key for stands in decided.values() if stands for key in stands.publish_keys]
        known = allowed_signers("\n".join([*keys, signer.public_key if signer else ""]))
        for branch, tip in branches.items() if signer else ():
            if is_shard_branch(branch) and (bad := await repo.signature_fault(tip, known)):
                faults[branch] = bad
        seen = RepositorySeen(
            branches=branches,
            platform=platform,
            platform_fault=fault,
            clusters=tuple(sorted(await repo.children(main, _CLUSTERS))) if main else (),
            waiting=await _waiting(repo, branches),
            outdated=await _outdated(repo, main, record, rendered) if main else (),
            signature_faults=faults if signer else Unseen("GIT_SIGNING_KEY_FILE is not usable"),
            push_refusal=await remote.push_refusal(branches) if remote else None,
            trials=tuple([t async for t in self._trials(repo, branches)]) if remote else (),
            person=self.settings.doctor_person_token_file is not None,
        )
        if isinstance(rendered, Unseen):
            return seen, rendered
        return seen, tuple(_manifests(rendered))

    async def _rendered(
        self,
        platform: PlatformFile | None,
        known: Mapping[str, Standing | None],
        signer: Signer | None,
    ) -> dict[str, bytes] | Unseen:
        """The files of this cluster's folder on `main`, by path, as the template gives them now."""
        name = self.cluster or (next(iter(known)) if len(known) == 1 else None)
        if platform is None or name is None or name not in known:
            names = ", ".join(sorted(known)) or "none"
            return Unseen(f"which folder of clusters/ is this cluster's? init-repo wrote: {names}")
        stands = known[name]
        if stands is None or stands.url is None:
            return Unseen(f"{CLUSTERS_BRANCH} does not say how the cluster {name} was made")
        options = ClusterOptions(
            name=name,
            url=stands.url,
            git_secret=stands.git_secret,
            publish_keys=stands.with_keys(signer.public_key if signer else None),
            images=stands.images,
        )
        folder = await asyncio.to_thread(read_folder, TEMPLATE / "cluster")
        texts = {path: data.decode() for path, data in folder.items()}
        try:
            files = await asyncio.to_thread(
                render_cluster, texts, platform, self.rendering, options
            )
        except RenderError as error:
            return Unseen(f"the template cannot be rendered: {error}")
        return {f"{_CLUSTERS}/{name}/{path}": data for path, data in files.items()}

    async def _trials(self, repo: GitopsRepo, branches: Mapping[str, str]) -> AsyncIterator[Trial]:
        """Pushes that cannot change anything: see `api/clients/trial_push.py`."""
        person = self.settings.doctor_person_token_file
        for branch in [MAIN, await _moved_shard(repo, branches), CLUSTERS_BRANCH]:
            if branch is None or branch not in branches:
                continue
            url = self.settings.git_remote if branch == MAIN else self.settings.publish_url
            info = await repo.info(branches[branch])
            before = (info.parent if info else None) or _NOTHING
            way = (url or self.settings.git_remote or "", branch, before, branches[branch])
            if not travels_safely(way[0]):
                return
            heard = await try_push(*way, self.credentials)
            yield Trial("platform", branch, heard.answer, heard.words)
            if person and branch != MAIN:
                heard = await try_push(*way, Credentials(tokens=TokenFile(person)))
                yield Trial("person", branch, heard.answer, heard.words)

    async def _cluster(
        self, wanted: tuple[Manifest, ...] | Unseen, signer: Signer | None
    ) -> ClusterSeen | Unseen | None:
        if self.settings.mode != "cluster":
            return None
        token = self.settings.flux_receiver_token_file
        try:
            api = await KubernetesApi.open(self.kubeconfig)
            try:
                return ClusterSeen(
                    version=await kubernetes_survey.version(api),
                    objects=await kubernetes_survey.survey(api, self.settings.traefik_namespace),
                    wanted=wanted,
                    settings=self.settings,
                    receiver_path=await asyncio.to_thread(_receiver_path, token),
                    public_key=signer.public_key if signer else None,
                )
            finally:
                await api.close()
        except PlatformError as error:
            return Unseen(error.message)


def _receiver_path(token: Path | None) -> str | None:
    try:
        return webhook_path(token.read_bytes()) if token else None
    except OSError:
        return None  # `settings.files` tells


def _manifests(files: Mapping[str, bytes]) -> Iterator[Manifest]:
    for path, data in files.items():
        if path.endswith(".yaml"):
            for document in yaml.load_all(data, Loader=_Loader):
                if document:
                    yield Manifest.of(document)


async def _moved_shard(repo: GitopsRepo, branches: Mapping[str, str]) -> str | None:
    """A shard branch on which something was published already, or any."""
    shards = sorted(filter(is_shard_branch, branches))
    for branch in shards:
        info = await repo.info(branches[branch])
        if info and info.parent:
            return branch
    return next(iter(shards), None)


async def _known_clusters(
    repo: GitopsRepo, branches: Mapping[str, str]
) -> dict[str, Standing | None]:
    """What was decided about each cluster, by name; None where its files do not tell."""
    tip = branches.get(CLUSTERS_BRANCH)
    found: dict[str, Standing | None] = {}
    for name, entry in (await repo.children(tip)).items() if tip else ():
        if entry.kind != "folder":
            continue
        files = {path: await repo.read(tip or "", f"{name}/{path}") for path in STANDING_IN}
        try:
            found[name] = standing(files)
        except InvalidFile:
            found[name] = None
    return found


async def _waiting(repo: GitopsRepo, branches: Mapping[str, str]) -> tuple[str, ...]:
    """The names in `clusters/` on `main` that `flux/clusters` holds otherwise."""
    if MAIN not in branches or CLUSTERS_BRANCH not in branches:
        return ()
    main = await repo.children(branches[MAIN], _CLUSTERS)
    there = await repo.children(branches[CLUSTERS_BRANCH])
    names = sorted(main.keys() | there.keys())
    return tuple(f"{_CLUSTERS}/{name}" for name in names if main.get(name) != there.get(name))


async def _outdated(
    repo: GitopsRepo, main: str, record: Record, rendered: Mapping[str, bytes] | Unseen
) -> tuple[str, ...]:
    """Files that nobody changed by hand, and that the template gives otherwise now."""
    if isinstance(rendered, Unseen):
        return ()
    found = []
    for path, data in rendered.items():
        stands = await repo.read(main, path)
        by_hand = stands is not None and record.files.get(path) != digest(stands)
        if stands != data and not by_hand:
            found.append(path)
    return tuple(found)

"""A repeated request does no harm: the same `Idempotency-Key` gives the first answer."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from api.clients.store import IdempotentRequest, Store
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.errors import Conflict, InvalidRequest, OutcomeUnknown, PlatformError
from api.intents import Intents, StoredApp

_LIFETIME: Final = timedelta(hours=24)
_MAX_KEY: Final = 200


class IdempotencyKeys:
    """Kept in the store for 24 hours, each tenant's apart."""

    def __init__(self, store: Store, intents: Intents) -> None:
        self._store = store
        self._intents = intents

    async def once(
        self,
        ref: AppRef,
        draft: AppDraft,
        key: str,
        create: Callable[[AppRef], Awaitable[StoredApp]],
    ) -> StoredApp:
        """Create the app, or answer what the first request with this key was answered.

        `ref` is proposed; a repetition gets the first one's. Raises Conflict for a key that was
        sent with another request, and whatever `create` raises (the key is free again then).
        """
        claim = _claim(ref, draft, key)
        expired = claim.created_at - _LIFETIME
        stands = await self._store.claim_key(ref.user_id, key, claim, expired=expired)
        if stands.digest != claim.digest:
            raise Conflict(
                "This Idempotency-Key was used for another request.",
                code="idempotency_key_reused",
                hint="Send a new key with every new request.",
            )
        first = json.loads(stands.body)
        ref = AppRef(ref.user_id, first["app_id"])
        if stands.status is not None:
            return replace(await self._intents.app(ref), commit=first["commit"])
        try:
            created = await create(ref)
        except OutcomeUnknown:
            raise  # it may be there: the key keeps the app's id for the repetition
        except PlatformError:
            await self._store.free_key(ref.user_id, key)
            raise
        body = json.dumps({"app_id": ref.app_id, "commit": created.commit})
        await self._store.answer_key(ref.user_id, key, status=202, body=body)
        return created


def _claim(ref: AppRef, draft: AppDraft, key: str) -> IdempotentRequest:
    if not 0 < len(key) <= _MAX_KEY or not key.isprintable():
        raise InvalidRequest(f"An Idempotency-Key has 1 to {_MAX_KEY} printable characters.")
    content = json.dumps(asdict(draft), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return IdempotentRequest(digest, json.dumps({"app_id": ref.app_id}), datetime.now(UTC))

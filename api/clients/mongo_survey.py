"""The MongoDB database as the doctor looks at it: nothing is written."""

from datetime import UTC, datetime

from api.clients.mongo import MongoDatabase
from api.clients.mongo_store import INDEXES
from api.domain.installation import DatabaseSeen


async def survey(uri: str) -> DatabaseSeen:
    """Its unique indexes and its clock; raises DatabaseUnavailable."""
    async with MongoDatabase.unprepared(uri) as database:
        await database.check()
        missing = [
            f"The unique index {name}.{index.field}"
            for name, wanted in INDEXES.items()
            for index in wanted
            if index.unique and index.field not in await database.unique_fields(name)
        ]
        skew = await database.clock() - datetime.now(UTC)
        return DatabaseSeen("MongoDB", tuple(missing), skew)

from functools import lru_cache

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    app_name: str = "Bigger application"
    x_token: str = "fake-super-secret-token"


@lru_cache
def get_settings() -> Settings:
    return Settings()

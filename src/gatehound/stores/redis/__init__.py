"""Sessions in Redis or Valkey: many processes and machines, one small script a change."""

from gatehound.stores.redis.store import RedisStore

__all__ = ["RedisStore"]

"""Pools: messages spread over several servers, or one for one client at a time; and the hash of keys."""

from __future__ import annotations

from ._checkout_pool import (
    CheckoutOrder,
    CheckoutPool,
    CheckoutPoolRef,
    PoolStatus,
    checkout_pool_spec,
    open_checkout_pool,
)
from ._errors import PoolFull
from ._pool import STABLE_HASH, KeyedPool, LeastLoadedPool, RoundRobinPool, stable_hash

__all__ = [
    "STABLE_HASH",
    "CheckoutOrder",
    "CheckoutPool",
    "CheckoutPoolRef",
    "KeyedPool",
    "LeastLoadedPool",
    "PoolFull",
    "PoolStatus",
    "RoundRobinPool",
    "checkout_pool_spec",
    "open_checkout_pool",
    "stable_hash",
]

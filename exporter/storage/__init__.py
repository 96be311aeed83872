"""What outlives the process: one SQLite database, committed once a cycle."""

from exporter.storage.model import (
    CycleCommit,
    Fsync,
    InUseError,
    NewerSchemaError,
    OutboxMessage,
    QueuedRequest,
    StorageConfig,
    StorageError,
    StorageLimits,
    TransitionRecord,
)
from exporter.storage.storage import Storage

__all__ = [
    "CycleCommit",
    "Fsync",
    "InUseError",
    "NewerSchemaError",
    "OutboxMessage",
    "QueuedRequest",
    "Storage",
    "StorageConfig",
    "StorageError",
    "StorageLimits",
    "TransitionRecord",
]

"""What outlives the process: one SQLite database, committed once a cycle."""

from exporter.storage.model import (
    Books,
    CycleCommit,
    Drop,
    Fsync,
    InUseError,
    NewerSchemaError,
    QueuedRequest,
    StorageConfig,
    StorageError,
    StorageLimits,
    StorageMetrics,
    TransitionRecord,
    UnsupportedFilesystemError,
)
from exporter.storage.storage import Storage

__all__ = [
    "Books",
    "CycleCommit",
    "Drop",
    "Fsync",
    "InUseError",
    "NewerSchemaError",
    "QueuedRequest",
    "Storage",
    "StorageConfig",
    "StorageError",
    "StorageLimits",
    "StorageMetrics",
    "TransitionRecord",
    "UnsupportedFilesystemError",
]

"""The spool: a queue on disk that outlives the process, made of segment files and a checkpoint file beside them.

Flow: `Spool.put` → `RequestBuffer` → `SegmentStore` → a record in a segment file; `peek` reads it back, `ack` releases
it, `commit` writes the checkpoint. At start, `recovery` scans the segments from the checkpoint on.

Guarantees. A request that `put` accepted while `degraded_reason` is "" is delivered at least once, whenever the process
is killed; after a crash of the machine that holds for what was synced (`always`: when `commit` returns; `interval`: a
second later). A request is delivered twice only if it was in flight when the process was killed, if its
acknowledgement was not yet synced when the machine crashed, or could not be written since the disk failed; the bytes
are the same each time.

The accounting continues over restarts: the counters and their start time come from the checkpoint, and pending points
count as produced and queued. It starts from zero, with the pending points as produced, unless it is certain that the
checkpoint holds every value that was ever exported: it is missing, the machine crashed, or the process was killed while
points were only in memory. Points that should be pending and cannot be read are dropped, with reason "damaged". So
produced = delivered + rejected + dropped + queued holds at every instant, and no counter decreases without a new start.
"""

from exporter.otlp.spool.spool import Fsync, Spool, SpoolLimits
from exporter.storage.model import InUseError

__all__ = ["Fsync", "InUseError", "Spool", "SpoolLimits"]

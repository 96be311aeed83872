"""The spool: a queue on disk that outlives the process, of segment files with a cursor beside them.

What is promised. A record that `put` took while `why` is "" is delivered at least once, whenever the process is killed;
after a crash of the machine that holds for what was synced (`always`: when `secure` returns; `interval`: a second
later). A record is delivered twice only if it was under way when the process was killed, if its acknowledgement was not
yet synced when the machine crashed, or could not be written since the disk failed; the bytes are the same each time.

The books go on where an earlier process's ended: the counters and their start come from the cursor, and what waits
counts as made and queued. They begin anew, with what waits as made, when it is not certain that the cursor tells all
that was ever shown: it is lost, the machine crashed, or the process was killed while points were only in memory. What
should wait and cannot be read is dropped, by reason "damaged". So made = delivered + rejected + dropped + queued holds
at every instant, and no counter goes back without a new start.
"""

from exporter.otlp.spool.files import InUseError
from exporter.otlp.spool.spool import Bounds, Fsync, Spool

__all__ = ["Bounds", "Fsync", "InUseError", "Spool"]

"""Work that must not run on the reactor thread: password hashes (``HashPool``) and writes (``Writer``).

Rules. What runs here touches no Twisted object: results come back by ``callFromThread``, so that Deferreds fire on the
reactor thread only. Every queue is bounded, and beyond the bound the answer is "try again" at once. The threads are
daemons: one that hangs in a system call cannot keep the process from ending.

Not here: reads (they are local and answered inline) and any knowledge of what is hashed or written.
"""

from mailhooks.workers.hash_pool import HASH_BUCKETS, HashPool, QueueFull, Stopped, Timing
from mailhooks.workers.writer import Writer

__all__ = ["HASH_BUCKETS", "HashPool", "QueueFull", "Stopped", "Timing", "Writer"]

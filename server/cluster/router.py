"""Which replica gets a call: the one it names, the one its session always had, or the one with the fewest streams.

The routers of all gateways agree on a session's replica without speaking to each other (rendezvous hashing, Thaler and
Ravishankar 1998): when a replica comes or goes, only its own sessions move.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica


def ranked(session: str, streams: Mapping[str, int]) -> list[list[str]]:
    """Names of replicas, the best first; those of one group are told apart by how many calls wait for them.

    `session`: a replica's name, a session's, or "". `streams`: how many each replica has.
    """
    if session in streams:
        return [[session]]
    if session:
        return [[name] for name in sorted(streams, key=lambda name: _weight(session, name), reverse=True)]
    two = random.sample(sorted(streams), min(2, len(streams)))  # all gateways at once would fill the emptiest
    fewest = min((streams[name] for name in two), default=0)
    best = [name for name in two if streams[name] == fewest]
    return [group for group in (best, [name for name in streams if name not in best]) if group]


def _weight(session: str, name: str) -> bytes:
    return hashlib.sha256(f"{session} {name}".encode()).digest()


class StageRouter(RequestRouter):  # type: ignore[misc]
    """Ray Serve's router of the three stages: a call says in its `session_id` where it wants to go."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """See `RequestRouter`."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        named = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        streams = {name: int(replica.routing_stats.get("streams", 0)) for name, replica in named.items()}
        return [[named[name] for name in group] for group in ranked(pending_request.metadata.session_id, streams)]

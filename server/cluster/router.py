"""Ray Serve's router of the three stages. Each gateway has one for each stage."""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from server.cluster.ranking import Wish, ranked


class StageRouter(RequestRouter):  # type: ignore[misc]
    """A call says in its `session_id` where it wants to go, see `Wish`."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """See `RequestRouter`."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        named = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        streams = {name: int(replica.routing_stats.get("streams", 0)) for name, replica in named.items()}
        wish = Wish.read(pending_request.metadata.session_id)
        return [[named[name] for name in group] for group in ranked(wish, streams)]

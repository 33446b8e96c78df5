"""Ray Serve's router of the three stages. Each gateway has one for each stage."""

from __future__ import annotations

from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from server.cluster.doubts import Doubts
from server.cluster.ranking import Wish, ranked


class StageRouter(RequestRouter):  # type: ignore[misc]
    """A call says in its `session_id` where it wants to go, see `Wish`. Replicas in doubt are asked last."""

    def initialize_state(self, **_: Any) -> None:
        """See `RequestRouter`."""
        self._doubts = Doubts()

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """See `RequestRouter`."""
        super().on_send_request(replica_id)
        self._doubts.asked(replica_id.unique_id)

    def on_new_queue_len_info(self, replica_id: ReplicaID, num_ongoing_requests: int) -> None:
        """The first word of a replica about a call: it takes or refuses it."""
        super().on_new_queue_len_info(replica_id, num_ongoing_requests)
        self._doubts.heard(replica_id.unique_id)

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """See `RequestRouter`."""
        super().on_replica_actor_unavailable(replica_id)
        self._doubts.failed(replica_id.unique_id)

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
        groups = ranked(wish, streams, unreachable=self._doubts.unreachable(), silent=self._doubts.silent())
        return [[named[name] for name in group] for group in groups]

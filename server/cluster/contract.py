"""What a gateway and the replicas it asks must have in common, and the errors of a cluster."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from model.bundle import Bundle
from server.version import package_version
from streaming.errors import EngineUnavailable


class ClusterError(EngineUnavailable):
    """The cluster cannot be had, or not as it is. `code` says which."""

    code = "cluster_unreachable"


@dataclass(frozen=True, slots=True)
class Facts:
    """`profile`: SHA-256 of the bundle's profile.json; it decides what ids, units and rates mean."""

    bundle: str
    profile: str
    version: str


def facts_of(bundle: Bundle) -> Facts:
    """Raises BundleError."""
    profile = hashlib.sha256((bundle.directory / "profile.json").read_bytes()).hexdigest()
    return Facts(bundle.profile.name, profile, package_version())


def check_facts(gateway: Facts, replica: Facts) -> None:
    """Raises ClusterError (`cluster_mismatch`) where they would misunderstand each other."""
    if gateway.profile != replica.profile:
        raise ClusterError(
            f"the gateway has bundle {gateway.bundle} (profile {gateway.profile[:12]}), the replica {replica.bundle} "
            f"({replica.profile[:12]}); give both the same bundle",
            code="cluster_mismatch",
        )
    if gateway.version != replica.version:
        raise ClusterError(
            f"the gateway is cslm-serve {gateway.version}, the replica {replica.version}; install one version on all hosts",
            code="cluster_mismatch",
        )

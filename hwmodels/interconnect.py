"""Links between chips: tiers from near to far, and the overheads of the library that runs collectives over them.

A tier has the two parameters of the alpha-beta model: the time until the first byte of a message arrives, and the bytes
per second that follow. Libraries send small messages by protocols with another latency and bandwidth; the numbers of
the tier itself hold for large messages.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from memgrain.hwmodels.record import Spec
from memgrain.hwmodels.units import Bandwidth, Bytes, Count, Duration, Share

Topology = Literal["switch", "full_mesh", "ring"]
Algorithm = Literal["ring", "tree", "direct", "one_shot", "pairwise", "in_network"]


class Protocol(Spec):
    """A protocol for small messages over the same links, such as one that puts data and flag into one word."""

    latency: Duration = Field(description="time of a message of no bytes")
    share: Share = Field(description="share of the tier's bandwidth that data reaches")
    largest_exchange: Bytes | None = Field(
        default=None, description="largest message of a send or an all-to-all with this protocol; absent: none"
    )


class InNetwork(Spec):
    """A switch that adds the vectors of several chips, and copies one chip's vector to all (NVLS, SHARP)."""

    latency: Duration = Field(description="time of an operation of no bytes through the switch")
    share: Share = Field(description="share of the tier's bandwidth that such an operation reaches")


class Tier(Spec):
    """Links between chips that reach each other in the same way, such as those of one node."""

    topology: Topology = Field(
        description="whether messages share a chip's port to a switch, or each pair of chips (of neighbours on a ring) "
        "has a link"
    )
    chips: Count | None = Field(
        default=None, description="chips that the tier connects, nearer tiers included; absent: no limit"
    )
    bandwidth: Bandwidth = Field(description="bytes per second of data that one chip sends while it receives as many")
    pair_bandwidth: Bandwidth | None = Field(
        default=None,
        description=(
            "bytes per second from one chip to another: of their link, or of one stream through a switch; "
            "absent: one stream fills the port"
        ),
    )
    latency: Duration = Field(description="time of a message of no bytes; on a ring, for each link on its way")
    fence: Duration | None = Field(
        default=None,
        description=(
            "extra time of a phase of large messages: fences, filling of buffers; absent: none, or included in startup"
        ),
    )
    protocols: dict[str, Protocol] = Field(
        default_factory=dict, description="protocols of the library for smaller messages, used where they are faster"
    )
    in_network: InNetwork | None = Field(
        default=None, description="operations that the switch computes itself; absent: it only forwards"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Tier:
        if self.topology != "switch" and self.pair_bandwidth is None:
            raise ValueError(f"a {self.topology} has a link for each pair of chips; add pair_bandwidth")
        if self.topology != "switch" and self.in_network is not None:
            raise ValueError(f"in_network is for a switch, topology is {self.topology}; remove in_network")
        if self.pair_bandwidth is not None and self.pair_bandwidth > self.bandwidth:
            raise ValueError(
                f"pair_bandwidth {self.pair_bandwidth} B/s exceeds the chip's bandwidth {self.bandwidth} B/s; lower it"
            )
        return self


class Interconnect(Spec):
    """A chip's links to other chips, and the fixed cost of a collective."""

    algorithms: list[Algorithm] = Field(
        min_length=1,
        description=("algorithms of the chip's library, which takes the fastest one that exists for an operation"),
    )
    startup: Duration = Field(
        description=("time of a collective besides its messages: launch, and synchronisation of the chips")
    )
    copy_bandwidth: Bandwidth | None = Field(
        default=None,
        description=(
            "bytes per second at which a chip copies its own part into the result, after the rest; absent: no time"
        ),
    )
    node: Tier = Field(description="links within a node")
    network: Tier | None = Field(default=None, description="links between nodes; absent: not described")

    @model_validator(mode="after")
    def _consistent(self) -> Interconnect:
        near = self.node.chips
        if near is None:
            raise ValueError("node.chips says how many chips a node has; add it")
        far = self.network.chips if self.network else None
        if far is not None and (far <= near or far % near):
            raise ValueError(f"network.chips {far} is no multiple of the {near} chips of a node; correct it")
        return self

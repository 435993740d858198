"""The sections of a configuration that say what is read from Kafka, and what is written to it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from flows.config.section import Count, PositiveSeconds, Seconds, Section, StartTime, Text

WrittenKind = Literal[
    "verdict", "event", "estimate", "alert", "reading", "finding", "classification"
]
"""The kinds of record that may be written to Kafka."""


class KafkaReadSection(Section):
    """What is read: frames, other programs' detections, sensor readings."""

    topics: dict[
        Text, Literal["frames", "readings", "detections", "estimates", "alerts"] | None
    ] = Field(
        min_length=1,
        description="The topics, and what each holds; null where its name ends in that.",
    )
    start: Literal["earliest", "latest", "committed"] | StartTime = Field(
        "earliest",
        description="Where a partition begins when there is nothing to resume from: earliest, "
        "latest, committed (by group), or a time with its zone.",
    )
    end: Literal["latest"] | StartTime | None = Field(
        None, description="Where reading ends: latest (as it is at the start), a time; null never."
    )
    group: Text | None = Field(
        None, description="Commit offsets under this consumer group, for tools to see the lag."
    )
    readers: Count = Field(
        4, le=1024, description="Parts that share the partitions; stays the same on resume."
    )
    batch_frames: Count = Field(32, le=1024, description="The most frames that travel together.")
    late_seconds: Seconds | None = Field(
        None,
        description="Records whose event time lies further behind their stream's latest are dead "
        "letters, seconds; null = never.",
    )
    watch_seconds: PositiveSeconds = Field(
        10.0, description="How often topics are looked at for new partitions and losses, seconds."
    )
    unreachable_seconds: PositiveSeconds = Field(
        60.0, description="How long the cluster may be silent before the run fails, seconds."
    )


class KafkaWriteSection(Section):
    """What is written, each kind of record to its topic."""

    kinds: list[WrittenKind] = Field(
        ["verdict", "event", "estimate", "alert"],
        min_length=1,
        description="The records to write.",
    )
    content: Literal["msgpack", "json"] = Field("msgpack", description="How values are written.")
    transactions: bool = Field(
        default=True,
        description="Whether an epoch is one transaction, so that consumers of committed messages "
        "see each record once.",
    )
    transaction_seconds: PositiveSeconds = Field(
        60.0, description="How long a transaction may stay open; more than an epoch, seconds."
    )
    writers: Count = Field(
        1, le=1024, description="Producers that share the streams; 1 with transactions."
    )


class KafkaSection(Section):
    """A Kafka cluster that is read, written or both. Topics must exist."""

    servers: list[Text] = Field(min_length=1, description="host:port of one or more brokers.")
    topic_prefix: Text = Field("sightflow", description="What the topics' names begin with.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are reached."
    )
    ca_file: Text | None = Field(
        None, description="PEM file of the brokers' authorities; null = the system's."
    )
    certificate_file: Text | None = Field(None, description="PEM file of the own certificate.")
    key_file: Text | None = Field(None, description="PEM file of its private key.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="With SASL_PLAINTEXT or SASL_SSL: how the user is proven."
    )
    username: SecretStr | None = Field(
        None, description="The user's name, as a reference ${NAME} to the environment."
    )
    password: SecretStr | None = Field(
        None, description="The password, as a reference ${NAME} to the environment."
    )
    client_id: Text = Field("sightflow", description="What brokers call this client.")
    compression: Literal["none", "gzip", "lz4", "zstd"] = Field(
        "zstd", description="How batches are compressed."
    )
    request_timeout_seconds: PositiveSeconds = Field(
        30.0, description="How long one request may take, seconds."
    )
    delivery_timeout_seconds: PositiveSeconds = Field(
        120.0, description="How long until a message is confirmed, retries and all, seconds."
    )
    max_message_bytes: Count = Field(
        1_000_000, le=64 * 2**20, description="The largest message, bytes."
    )
    read: KafkaReadSection | None = Field(None, description="What is read; null = nothing.")
    write: KafkaWriteSection | None = Field(None, description="What is written; null = nothing.")

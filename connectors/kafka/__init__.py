"""Kafka: a source and a sink that lose nothing, and dead letters for what cannot be understood."""

from connectors.kafka.batching import Received, Records
from connectors.kafka.cluster import Cluster, TopicState
from connectors.kafka.dead_letters import StoredLetter
from connectors.kafka.letter_box import LetterBox, LetterFilter, ReplayReport
from connectors.kafka.messages import DeadLetter, Message, Reason
from connectors.kafka.pictures import CodedPixels
from connectors.kafka.ranges import AtOffsets, AtTime
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.sink import KafkaSink, KafkaSinkSettings
from connectors.kafka.source import KafkaSource, KafkaStreams, kafka_input
from connectors.kafka.source_settings import KafkaSourceSettings
from connectors.kafka.topics import DEAD_LETTERS, RETRAINING, TopicKind

__all__ = [
    "DEAD_LETTERS",
    "RETRAINING",
    "AtOffsets",
    "AtTime",
    "Cluster",
    "CodedPixels",
    "DeadLetter",
    "KafkaSettings",
    "KafkaSink",
    "KafkaSinkSettings",
    "KafkaSource",
    "KafkaSourceSettings",
    "KafkaStreams",
    "LetterBox",
    "LetterFilter",
    "Message",
    "Reason",
    "Received",
    "Records",
    "ReplayReport",
    "StoredLetter",
    "TopicKind",
    "TopicState",
    "kafka_input",
]

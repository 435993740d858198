"""Replays: recordings through any configuration, in event-time order, the same every time."""

from flows.replay.configuration import load_for_replay
from flows.replay.digest import RecordDigest
from flows.replay.inputs import ReplayInput
from flows.replay.opening import OpenOptions, open_recording
from flows.replay.run import ReplayRequest, replay
from flows.replay.summary import ReplaySummary

__all__ = [
    "OpenOptions",
    "RecordDigest",
    "ReplayInput",
    "ReplayRequest",
    "ReplaySummary",
    "load_for_replay",
    "open_recording",
    "replay",
]

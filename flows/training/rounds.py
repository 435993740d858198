"""A round: select, label, plan, train, evaluate, register. What is done is not done again.

After each step the state is replaced on disk; a round that is killed goes on with the step that it
was in. Each step may be done twice: labels are kept by the items' ids, training goes on from its
checkpoint, and a version names its round, so it is registered once.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from connectors.queue import RetrainingQueue
from flows.training.cascade_round import CascadeKind
from flows.training.detector_round import DetectorKind
from flows.training.ecg_round import EcgKind
from flows.training.kinds import (
    CANDIDATE,
    RoundData,
    UntrainableError,
    evaluation_from_json,
    evaluation_to_json,
)
from flows.training.labelling import Labelling
from flows.training.planning import executed_plan, plan_of
from flows.training.selecting import select
from flows.training.state import Step
from models.registry import ChangeKind, NewVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.training.examples import Examples
    from flows.training.kinds import Kind
    from flows.training.process import Session
    from flows.training.settings import TrainingJob
    from flows.training.state import RoundState, StateFile

    Tell = Callable[[RoundState, str, float], None]

KINDS: dict[str, Kind] = {"cascade": CascadeKind(), "ecg": EcgKind(), "detector": DetectorKind()}
"""The kinds of model that can be trained, by the word of the configuration."""

ROUND_FOLDER = "round"
"""The folder in the trainer's folder that holds what a round has made so far."""

_log = structlog.get_logger()


class Round:
    """One round.

    Args:
        job: The trainer's job.
        file: Where its state is kept.
        examples: The examples.
        session: What it asks while it works.
        tell: Called with its state, what it does, and the share of that, 0..1.
    """

    def __init__(
        self, job: TrainingJob, file: StateFile, examples: Examples, session: Session, tell: Tell
    ) -> None:
        self._job, self._file, self._examples = job, file, examples
        self._session, self._tell = session, tell
        self._kind = KINDS[job.section.kind]
        self._folder = job.place / ROUND_FOLDER
        self._steps = {
            Step.SELECT: self._select,
            Step.LABEL: self._label,
            Step.PLAN: self._plan,
            Step.TRAIN: self._train,
            Step.EVALUATE: self._evaluate,
            Step.REGISTER: self._register,
        }

    def run(self, state: RoundState) -> RoundState:
        """Do what is left of the round.

        Raises:
            TrainingStoppedError: the trainer is to end; the round goes on later.
            SightflowError: something it needs cannot be read or written.
        """
        with self._session.between_operators():
            while state.step is not Step.DONE:
                self._tell(state, state.step.value, 0.0)
                try:
                    state = self._steps[state.step](state)
                except UntrainableError as error:
                    state = state.refused(str(error))
                state = self._write(state)
                if state.step is not Step.DONE:
                    self._session.check()
        shutil.rmtree(self._folder, ignore_errors=True)
        return state

    def _write(self, state: RoundState) -> RoundState:
        state = replace(state, spending=self._session.spending)
        self._file.write(state)
        return state

    def _data(self, state: RoundState) -> RoundData:
        def tell(words: str, share: float) -> None:
            self._write(state)
            self._tell(state, words, share)

        seed = np.random.SeedSequence([self._job.section.seed, state.number]).generate_state(1)
        new = frozenset(state.items)
        return RoundData(
            self._job, self._examples, new, self._folder, state.parent, int(seed[0]),
            state.since, tell,
        )  # fmt: skip

    def _select(self, state: RoundState) -> RoundState:
        shutil.rmtree(self._folder, ignore_errors=True)
        parent = self._job.registry.pointers(self._job.name).current
        state = replace(state, parent=parent, step=Step.LABEL)
        with RetrainingQueue(self._job.queue, mode="ro") as queue:
            found = select(
                queue.items(), self._job.section, self._kind, self._examples.labels(),
                self._data(state).seed,
            )  # fmt: skip
        state = replace(state, items=found.ids, chosen=found.chosen, unused=found.unused)
        return state if found.ids else state.refused("the queue holds no new item that can be used")

    def _label(self, state: RoundState) -> RoundState:
        with RetrainingQueue(self._job.queue, mode="ro") as queue:
            labelling = Labelling(self._data(state), self._kind, self._session, queue)
            labels, unused = labelling.run(state.items)
        state = replace(state, labels=labels, unused={**state.unused, **unused}, step=Step.PLAN)
        return state if labels else state.refused("no item got a label")

    def _plan(self, state: RoundState) -> RoundState:
        return replace(state, plan=plan_of(self._job), step=Step.TRAIN)

    def _train(self, state: RoundState) -> RoundState:
        if self._session.enough():
            return state.refused("the budget was used up before the training")
        data = self._data(state)
        self._kind.train(data, self._session)
        return replace(state, plan=executed_plan(data), step=Step.EVALUATE)

    def _evaluate(self, state: RoundState) -> RoundState:
        found = self._kind.evaluate(self._data(state))
        state = replace(
            state, evaluation=evaluation_to_json(found), step=Step.REGISTER, reason=found.reason
        )
        return state if found.better else state.refused(f"not better: {found.reason}")

    def _register(self, state: RoundState) -> RoundState:
        registry, name = self._job.registry, self._job.name
        number = self._registered(state)
        if number is None:
            number = registry.add(name, self._folder / CANDIDATE, self._new(state)).number
        proposed = any(
            one.number == number and one.what is ChangeKind.PROPOSED
            for one in registry.history(name)
        )
        if not proposed:
            registry.propose(name, number, f"round {state.number}: {state.reason}"[:1000])
        registry.prune(name, self._job.section.keep_versions)
        return replace(state, version=number, step=Step.DONE)

    def _registered(self, state: RoundState) -> int | None:
        """The version that this round has registered before it was killed; None for none."""
        registry, name = self._job.registry, self._job.name
        for number in reversed(registry.numbers(name)):
            if number <= (state.parent or 0):
                break
            if registry.version(name, number).configuration.get("round") == self._key(state):
                return number
        return None

    def _new(self, state: RoundState) -> NewVersion:
        assert state.evaluation is not None
        evaluation = evaluation_from_json(state.evaluation)
        configuration = {
            "round": self._key(state),
            "trigger": state.trigger.value,
            "items": len(state.items),
            "labels": dict(state.labels),
            "plan": dict(state.plan),
            "training": self._job.section.model_dump(mode="json"),
        }
        return NewVersion(
            self._kind.model_kind, evaluation.after, evaluation.data_sha256, configuration,
            state.parent,
        )  # fmt: skip

    def _key(self, state: RoundState) -> str:
        return f"{state.number}:{state.began_ns}"

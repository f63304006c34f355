"""What a run would do and cost, from its settings and data; nothing is written."""

from __future__ import annotations

from groot.config import Config
from groot.models.embedded import count_parameters
from groot.recipes.estimate import seconds_per_step
from groot.recipes.make_writer import fit_passes, make_writer
from groot.recipes.objective import objective_of
from groot.recipes.plan import BYTES_PER_WEIGHT, Plan, PlannedStage, disk_bytes
from groot.recipes.rounds import rounds_of
from groot.recipes.run_data import read_data
from groot.recipes.threads import compute_threads, threads_of
from groot.rollouts.instances import training_instances


def plan_run(config: Config) -> Plan:
    """What `train_run` would do and cost; writes nothing.

    The times are measured: a few steps of the real model on the real data.
    """
    data, optimise = read_data(config), config.optimise
    objective_of(optimise.objective, optimise.objective_settings)
    writer = make_writer(config, data.train, data.task)
    instances, missed = training_instances(writer.notation, data.train)
    parameters = count_parameters(writer.model)
    passes = fit_passes(config, sum(map(writer.notation.n_written, data.train)))
    fit_steps = passes * -(-len(instances) // config.fit.batch_size)
    with compute_threads(threads_of(config)):
        measured = seconds_per_step(writer, instances, config)
    note = f"{len(instances)} texts x {passes} passes / {config.fit.batch_size}"
    stages = [PlannedStage("fit", fit_steps, fit_steps * measured["fit"], note)]
    reward_calls = 0
    rounds = rounds_of(config, can_vary=writer.notation.can_vary)
    for round in rounds:
        texts, kept = len(instances) * round.variations, optimise.candidates_per_round
        steps = optimise.passes_per_round * -(-texts // optimise.batch_size)
        is_lean = round.distils and not config.distil.contrast_weight
        seconds = texts * measured["search"] + steps * measured["fit" if is_lean else "contrast"]
        note = f"{texts} texts, up to {kept} candidates each"
        stages.append(PlannedStage(round.name, steps, seconds, note))
        reward_calls += texts * kept
    labels = writer.labels
    more = " ..." if len(labels) > 8 else ""
    facts = {
        "model": f"{config.model.name or 'embedded'}, {parameters / 1e6:.1f} M weights",
        "task": writer.task,
        **({"labels": f"{len(labels)}: {', '.join(labels[:8])}{more}"} if labels else {}),
        "reward": " ".join(config.reward.specs),
        "final numbers on": data.split,
        **({"tag scheme": data.scheme} if data.scheme else {}),
        **({"gold that cannot be written": str(len(missed))} if missed else {}),
    }
    return Plan(
        examples={"train": len(data.train), "dev": len(data.dev), "test": len(data.test)},
        stages=tuple(stages),
        parameters=parameters,
        memory_bytes=parameters * BYTES_PER_WEIGHT * 6 + (600 << 20),
        disk_bytes=disk_bytes(config, parameters, len(rounds)),
        reward_calls=reward_calls,
        facts=facts,
        problems=data.problems,
    )

"""SOAP planning: split one training step over devices without changing what it computes.

FlexFlow, Jia, Zaharia and Aiken, "Beyond Data and Model Parallelism for Deep Neural Networks",
MLSys 2019: each operator may be split along Sample, Operator, Attribute and Parameter dimensions.

What a model is:

* `regions`: boxes of indices and their algebra.
* `space`: what may be split, and which inputs a part needs; the operators are in `dense`,
  `windows`, `means`, `pointwise`, `shapes`, `recurrent` and `losses`.
* `graph`: a model as operators; `trace`, `translate`, `translate_shapes`, `translate_lstm` and
  `builder` make one from a torch model; `nets`: networks to plan for.
* `plan`: how each operator is split and where its parts run; `random_plans`: plans to measure.

How it runs:

* `ownership`, `buckets`: who keeps and who shares parameters.
* `repartition`, `tape`, `stages`: exchanges, and one rank's share of a step.
* `execute`, `segment`, `shared_gradients`, `given`: that share, carried out.
* `ranks`: processes, one a device.
* `training`, `training_settings`, `training_backend`, `training_rank`: training step by step.

How a plan is found:

* `machine`, `machine_file`, `machines_published`: where it is to run.
* `cost`, `memory`: what parts take.
* `simulate`, `simulate_tasks`, `simulate_blocking`, `simulate_traffic`, `simulate_exchange`,
  `simulate_timeline`: what a step takes.
* `search`, `search_run`, `search_moves`, `search_tree`, `candidates`: the search.
* `calibrate`, `calibrate_steps`: what the runtime adds on this machine.
* `adopt`, `planned`: trials in real steps, and a training by the winner.
"""

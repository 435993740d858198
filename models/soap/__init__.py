"""SOAP planning: split one training step over devices without changing what it computes.

FlexFlow, Jia, Zaharia and Aiken, "Beyond Data and Model Parallelism for Deep Neural Networks",
MLSys 2019: each operator may be split along Sample, Operator, Attribute and Parameter dimensions.

* `regions`: boxes of indices and their algebra.
* `space` and the modules of operators: what may be split, and which inputs a part needs.
* `graph` and `trace`: a model as operators; `nets`: networks to plan for.
* `plan`: how each operator is split and where its parts run.
* `repartition`, `ownership`, `tape` and `execute`: one rank's share of a training step.
* `ranks`: processes, one a device.
"""

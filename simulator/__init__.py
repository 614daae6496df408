"""The whole of Stepship on one machine, without AWS: real state machine, real handlers, virtual time.

moto answers the AWS API and interprets the state machine, all in this process. This package adds what moto lacks:

``clock``          virtual time, in which overlapping executions always interleave in the same way
``local_lambda``   Lambda functions that are Python functions in this process
``calls``          a record of every AWS call that a handler makes, and the place where faults enter
``faults``         what can go wrong: errors, throttling, timeouts, lost answers, killed and repeated functions
``events``         what an observer of a simulated world is told
``runs``           one execution of a state machine, seen from outside
``interpreter``    the seams that make moto's Step Functions interpreter run in virtual time …
``virtual_time``   … the threads, events and dates that it gets instead …
``stepfunctions``  … and what moto's Step Functions API leaves out
``machine``        :class:`~simulator.engine.machine.SimulatedAws`, which puts it all together
``ecs``            services that roll out, tasks that live and die
``world``          one environment: services, registry, the committed state machine, the handlers, EventBridge's part
``invariant``      what must be true of the world at rest
``scenario``       a YAML file that plays in a world, with what must come of it (docs/reference/simulator.md)
"""

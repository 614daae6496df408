"""``stepship infra``: the stacks of an environment, stage by stage, through the CDK CLI.

======================= ====================================================================
``layout.py``           which stacks there are, and in which order
``leftovers.py``        which of them stand though they were switched off, and ``kept.py`` what outlives a stack
``cdk.py``              the CDK CLI: synth, diff, deploy, destroy
``assembly.py``         whether templates that were synthesised before are those of this environment
``cloudformation.py``   what CloudFormation says about a stack, and the calls that free a stuck one
``stuck.py``            what to do about a stack in its state: a table
``mending.py``          does it
``holding.py``          the deployment lock, so that infrastructure and code never deploy at once
``rollout.py``          stacks in their order, several at once, until one fails or somebody stops it
``view.py``             shows it, on a terminal and in a log
======================= ====================================================================
"""

CONCURRENCY = 3
"""How many stacks are worked on at once, where nobody says it."""

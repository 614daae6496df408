"""``stepship infra``: the stacks of an environment, stage by stage, through the CDK CLI.

======================= ====================================================================
``layout.py``           which stacks there are, and in which order
``orphans.py``          which stacks still stand though they were switched off
``retained.py``         what outlives a stack that is deleted
``cdk.py``              the CDK CLI: synth, diff, deploy, destroy
``assembly.py``         whether templates that were synthesised before are those of this environment
``cloudformation.py``   what CloudFormation says about a stack, and the calls that free a stuck one
``stuck.py``            what to do about a stack in its state: a table
``repair.py``           does it
``images.py``           images that parameters name and no repository has any more
``resources.py``        deletes what the deletion of a half-made stack has left
``lock.py``             the deployment lock, so that infrastructure and code never deploy at once
``rollout.py``          stacks in their order, several at once, until one fails or somebody stops it
``view.py``             shows it, on a terminal and in a log
======================= ====================================================================
"""

CONCURRENCY = 3
"""How many stacks are worked on at once, where nobody says it."""

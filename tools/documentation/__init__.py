"""The parts of the documentation that are made from the code: ``python -m tools.documentation`` writes them again.

============ ==========================================================================
picture      the failed deployment of ``stepship demo`` as an SVG file, for the README
config_page  the keys of ``config/<environment>.toml``
input_page   the fields of the input of an execution
names_page   every name that an environment has in AWS
places       where a generated part stands within a page
============ ==========================================================================
"""

"""What the builds of the pipelines run: one ``.yml`` for each project, and what is too long for one."""

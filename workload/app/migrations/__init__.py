"""The data migrations, one file each, applied in the order of their numbers.

A file is never changed once it was released; the next number corrects it. It holds ``apply`` as
``app.migrate.Apply`` describes it, and the release before this one must be able to live with what it does.
"""

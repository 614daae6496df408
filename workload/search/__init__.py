"""Search: what is to be found is written by ``index.py`` and asked by ``query.py``. See README.md."""

"""The functions behind ``/items``: one reads an item of the application's table, one writes it. See README.md."""

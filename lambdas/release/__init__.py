"""Pure deployment logic: decides on frozen dataclasses, knows no AWS and no clock."""

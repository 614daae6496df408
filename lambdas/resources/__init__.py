"""Functions behind custom resources: inline in their stack's template, so each is one file that stands alone."""

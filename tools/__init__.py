"""How we know that it works: benchmarks, exploration, the check of the image. None of it is shipped."""

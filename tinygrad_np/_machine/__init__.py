"""Memory and who wrote to it, and what is asked of the machine for speed: OpenBLAS, malloc, work on all cores.

Importing the package only sets what OpenBLAS reads when NumPy loads it; the rest is done by `tuning.tune`, which making
an optimiser calls. TINYGRAD_NP_TUNING=off in the environment switches off all of it, and the fused updates.
"""

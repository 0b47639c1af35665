"""The command ``riemann-noise``: one module a verb, loaded when it is called."""

"""The modules that get noise: which are meant, what they put out, how a layer follows, what is refused."""

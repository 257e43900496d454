"""From runs to statements: gather runs into one table, check claims against it, draw it, and say where it came from."""

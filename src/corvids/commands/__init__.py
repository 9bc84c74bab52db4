"""The command line's verbs, one module each. Here, and only here, all folders meet."""

"""The verbs as the command line declares them: names, arguments, options and help."""

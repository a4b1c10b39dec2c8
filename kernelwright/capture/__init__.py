"""From a person's code to a task: reference files, live modules, and the graph of either."""

"""One module a kind: observe, ask the model, apply, write the status. What happened does not matter, only what is."""

"""voicefleet's data plane: relays, transceivers, signaling and what they are made of.

Layers, each importing only those below it (checked by import-linter):
`services | cli -> net | agents | observability -> core -> wire -> contract`.
"""

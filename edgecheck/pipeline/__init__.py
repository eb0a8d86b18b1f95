"""The pipeline: `run`, `check` and `sweep` are one page each; `stages/` holds what they are made of.

A stage is a frozen record of everything it reads (`stage`), the store finds its result again by content (`store`), and
a schedule drives the stages of all variants (`schedule`) through an executor (`executors/`).
"""

"""The pipeline: `run`, `check` and `sweep` are one page each and consist of the stages in `stages/`.

A stage is a frozen record of all its inputs (`stage`), the store looks up results by the content of these inputs
(`store`), and a schedule runs the stages of all variants (`schedule`) on an executor (`executors/`).
"""

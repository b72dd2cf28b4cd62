"""Job types whose work is done elsewhere, and reported by an outside worker (docs/tracked.md)."""

from asyncjobs import tracked_job

file_processing = tracked_job("file_processing", description="Import an uploaded file.", expected_seconds=30)
document_analysis = tracked_job("document_analysis", description="Analyze a document.", expected_seconds=60)
llm_agent = tracked_job("llm_agent", description="Run a task with a language model.", expected_seconds=120)

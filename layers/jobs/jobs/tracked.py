"""Job types whose work is done elsewhere: an outside worker reports of them (docs/tracked.md)."""

from asyncjobs import tracked_job

file_processing = tracked_job("file_processing", description="Take in an uploaded file.", expected_seconds=30)
document_analysis = tracked_job("document_analysis", description="Find out what a document says.", expected_seconds=60)
llm_agent = tracked_job("llm_agent", description="A language model works on a task.", expected_seconds=120)
